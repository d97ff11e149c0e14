-- Take up a job. ARGV: job, ttl, seconds that it then counts as in hand.
-- Returns the job, and whether it was in somebody's hands before.
local job = ARGV[1]
local fields = redis.call('HMGET', key('job', job), 'state', 'name', 'image', 'number')
local in_hand = 0
if fields[1] == 'accepted' then
  if number(redis.call('ZSCORE', ACCEPTED, job)) > number(now()) then in_hand = 1 end
  redis.call('HINCRBY', key('job', job), 'attempts', 1)
  redis.call('ZADD', ACCEPTED, 'XX', now() + ARGV[3], job)
  if fields[3] ~= '' then
    local image = redis.call('HMGET', key('image', fields[3]), 'state', 'erased_at')
    if erased_since(fields[4], image[2]) then
      settle(job, 'erased', ARGV[2])
    elseif known(image[1]) then
      redis.call('SADD', key('names', fields[3]), fields[2])
      settle(job, 'committed', ARGV[2])
    end
  end
end
return {job_view(job), in_hand}
