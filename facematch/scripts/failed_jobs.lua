-- Jobs that have failed with a code, the last one first. ARGV: code, how many to leave out, how many.
local jobs = {}
for _, job in ipairs(redis.call('ZREVRANGEBYSCORE', key('failed', ARGV[1]), '+inf', now(),
    'LIMIT', ARGV[2], ARGV[3])) do
  local fields = redis.call('HMGET', key('job', job),
    'detail', 'name', 'url', 'image', 'attempts', 'failed_at')
  if fields[2] then jobs[#jobs + 1] = {job, unpack(fields)} end
end
return jobs
