-- Ranges that nobody looked after for a while; from now on somebody does. ARGV: age, limit.
if redis.call('HGET', REINDEX, 'phase') ~= 'building' then return {} end
return due_of(RANGES, ARGV[1], ARGV[2])
