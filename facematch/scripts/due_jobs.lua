-- Accepted jobs that nobody looked after for a while; from now on somebody does. ARGV: age, limit.
local time = now()
local due = redis.call('ZRANGEBYSCORE', ACCEPTED, '-inf', time - ARGV[1], 'LIMIT', 0, ARGV[2])
for _, job in ipairs(due) do redis.call('ZADD', ACCEPTED, time, job) end
return due
