-- Take up a range. ARGV: reindex, first position. Returns threshold, last position, share,
-- whether there are to be scores, how many false matches may be expected.
local about = redis.call('HMGET', REINDEX, 'id', 'phase', 'generation', 'base', 'span', 'share')
if about[1] ~= ARGV[1] or about[2] ~= 'building' then return false end
if not redis.call('ZSCORE', RANGES, ARGV[2]) then return false end
redis.call('ZADD', RANGES, now(), ARGV[2])
local last = math.min(number(about[4]), ARGV[2] + about[5] - 1)
local generation = about[3]
local policy = redis.call('HMGET', META, of(generation, 'threshold'), of(generation, 'scored'),
  of(generation, 'max_false_matches'))
return {policy[1], string.format('%d', last), about[6], policy[2], policy[3]}
