-- Take up a range. ARGV: reindex, first position. Returns threshold, last position, share.
local about = redis.call('HMGET', REINDEX, 'id', 'phase', 'generation', 'base', 'span', 'share')
if about[1] ~= ARGV[1] or about[2] ~= 'building' then return false end
if not redis.call('ZSCORE', RANGES, ARGV[2]) then return false end
redis.call('ZADD', RANGES, now(), ARGV[2])
local last = math.min(number(about[4]), ARGV[2] + about[5] - 1)
return {redis.call('HGET', META, of(about[3], 'threshold')), string.format('%d', last), about[6]}
