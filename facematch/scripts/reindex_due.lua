-- Ranges that nobody looked after for a while; from now on somebody does. ARGV: age, limit.
if redis.call('HGET', REINDEX, 'phase') ~= 'building' then return {} end
local time = now()
local due = redis.call('ZRANGEBYSCORE', RANGES, '-inf', time - ARGV[1], 'LIMIT', 0, ARGV[2])
for _, first in ipairs(due) do redis.call('ZADD', RANGES, time, first) end
return due
