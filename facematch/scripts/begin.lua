-- Take up a job. ARGV: job, ttl, seconds that it then counts as in hand.
-- Returns the job; whether it was in somebody's hands before; whether it is not begun because the
-- edition that is served has not ended it yet, which this one follows; the edition that follows.
local job, ttl = ARGV[1], ARGV[2]
if given_up() then return {false, 0, 0, false} end
local record = key('job', job)
local fields = redis.call('HMGET', record, 'state', 'name', 'image', 'number', 'url')
local served, other = editions()
local leader = prefix_of(served)
local follower = leader == prefix and other
local function told(in_hand, follows)
  return {job_view(job), in_hand, follows, follower}
end
if fields[1] ~= 'accepted' then return told(0, 0) end

if leader ~= prefix then
  local led = redis.call('HMGET', leader .. 'job:' .. job, 'state', 'image', 'code', 'detail')
  if led[1] == 'accepted' then
    redis.call('ZADD', ACCEPTED, 'XX', now(), job)
    return told(0, 1)
  elseif led[1] == 'failed' then
    fail_job(job, led[3], led[4], led[2], ttl)
    return told(0, 0)
  elseif led[1] == 'erased' then
    settle(job, 'erased', ttl)
    return told(0, 0)
  elseif led[1] and fields[5] ~= '' then
    -- This is what was found behind the URL.
    fields[3] = led[2]
    redis.call('HSET', record, 'image', led[2])
    local image = redis.call('HMGET', key('image', led[2]), 'state', 'erased_at')
    if not erased_since(fields[4], image[2]) then
      expect(led[2], redis.sha1hex(job), fields[4])
    end
  end
end

local in_hand = 0
if number(redis.call('ZSCORE', ACCEPTED, job)) > number(now()) then in_hand = 1 end
redis.call('HINCRBY', record, 'attempts', 1)
redis.call('ZADD', ACCEPTED, 'XX', now() + ARGV[3], job)
if fields[3] ~= '' then
  local image = redis.call('HMGET', key('image', fields[3]), 'state', 'erased_at')
  if erased_since(fields[4], image[2]) then
    settle(job, 'erased', ttl)
  elseif known(image[1]) then
    redis.call('SADD', key('names', fields[3]), fields[2])
    settle(job, 'committed', ttl)
  end
end
return told(in_hand, 0)
