-- Let the log come to a position without images. ARGV: export, holder, milliseconds, log keep, position,
-- how many entries at the most. Returns {whether it has}, or what does not go.
local trouble = no_import(ARGV[1], ARGV[2], ARGV[3])
if trouble then return trouble end
local last = math.min(number(ARGV[5]), number(redis.call('HGET', META, 'position')) + ARGV[6])
for _ = number(redis.call('HGET', META, 'position')) + 1, last do nothing_at_next(ARGV[4]) end
return {last == number(ARGV[5]) and 1 or 0}
