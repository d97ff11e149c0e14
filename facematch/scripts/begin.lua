-- Take up a job. ARGV: job, ttl, seconds that the sweeper then leaves it alone.
local job = ARGV[1]
local fields = redis.call('HMGET', key('job', job), 'state', 'name', 'image', 'number')
if fields[1] == 'accepted' then
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
return job_view(job)
