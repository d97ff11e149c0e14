-- Accepted jobs that nobody looked after for a while; from now on somebody does. ARGV: age, limit.
-- Every collection's are asked for now and then: so what a process of an older version has left out of
-- the uploads that wait is not left out for good.
count_uploads()
local time = now()
local due = redis.call('ZRANGEBYSCORE', ACCEPTED, '-inf', time - ARGV[1], 'LIMIT', 0, ARGV[2])
for _, job in ipairs(due) do redis.call('ZADD', ACCEPTED, time, job) end
return due
