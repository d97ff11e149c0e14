-- Take up a job. ARGV: job, ttl, seconds that it then counts as in hand.
-- Returns the job; whether it was in somebody's hands before; whether it is not begun because the
-- edition that is served has not ended it yet, which this one follows; the edition that follows;
-- whether it was accepted until now and is not any more.
local job, ttl = ARGV[1], ARGV[2]
if given_up() then return {false, 0, 0, false, 0} end
local record = key('job', job)
local fields = redis.call('HMGET', record, 'state', 'name', 'image', 'number', 'url')
local served, other = editions()
local leads = prefix == prefix_of(served)
local function told(in_hand, follows)
  local settled = fields[1] == 'accepted' and redis.call('HGET', record, 'state') ~= 'accepted'
  return {job_view(job), in_hand, follows, leads and other, settled and 1 or 0}
end
if fields[1] ~= 'accepted' then return told(0, 0) end

local peer = not leads and served or other
if peer then
  local its = redis.call('HMGET', prefix_of(peer) .. 'job:' .. job,
    'state', 'image', 'code', 'detail')
  if its[1] == 'committed' and fields[5] ~= '' then
    -- This is what was found behind the URL.
    fields[3] = its[2]
    redis.call('HSET', record, 'image', its[2])
    local image = redis.call('HMGET', key('image', its[2]), 'state', 'erased_at')
    if not erased_since(fields[4], image[2]) then
      expect(its[2], redis.sha1hex(job), fields[4])
      redis.call('SADD', key('names', its[2]), fields[2])
    end
  elseif its[1] == 'accepted' and not leads then
    redis.call('ZADD', ACCEPTED, 'XX', now(), job)
    return told(0, 1)
  elseif its[1] == 'failed' and not leads then
    fail_job(job, its[3], its[4], its[2], ttl)
    return told(0, 0)
  elseif its[1] == 'erased' and not leads then
    settle(job, 'erased', ttl, its[2])
    return told(0, 0)
  end
end

local in_hand = 0
if number(redis.call('ZSCORE', ACCEPTED, job)) > number(now()) then in_hand = 1 end
redis.call('HINCRBY', record, 'attempts', 1)
redis.call('ZADD', ACCEPTED, 'XX', now() + ARGV[3], job)
if fields[3] ~= '' then
  local image = redis.call('HMGET', key('image', fields[3]), 'state', 'erased_at')
  if erased_since(fields[4], image[2]) then
    settle(job, 'erased', ttl, fields[3])
  elseif known(image[1]) then
    redis.call('SADD', key('names', fields[3]), fields[2])
    settle(job, 'committed', ttl, fields[3])
  end
end
return told(in_hand, 0)
