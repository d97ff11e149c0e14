-- Make another generation of match sets, and the ranges that it is built by.
-- ARGV: id, threshold, share, span, most ranges, bounds on false matches and on matches ('': none).
-- Returns the reindex.
local there = redis.call('HGET', REINDEX, 'id')
if there then return there == ARGV[1] and reindex_view() or 'exists' end
local _, other = editions()
if other then return 'exists' end
local base = redis.call('HGET', META, 'position')
if not base then return false end
if ARGV[6] ~= '' then
  if schema < 2 then return 'old_data' end
  if (redis.call('HGET', META, 'calibration') or '') == '' then return 'no_rates' end
end

local former = served()
local generation = string.format('%d', number(redis.call('HGET', META, 'last_generation')) + 1)
local span = math.max(number(ARGV[4]), math.ceil(number(base) / ARGV[5]))
local ranges = math.ceil(number(base) / span)
for first = 1, number(base), span do
  redis.call('ZADD', RANGES, 0, string.format('%d', first))
end
redis.call('HSET', META, 'last_generation', generation, 'generation', former,
  'generations', former .. ',' .. generation)
set_policy(generation, ARGV[2], ARGV[6], ARGV[7])
if ranges > 0 then redis.call('HSET', META, of(generation, 'building_to'), base) end
redis.call('HSET', REINDEX, 'id', ARGV[1], 'phase', ranges > 0 and 'building' or 'built',
  'generation', generation, 'former', former, 'base', base, 'span', string.format('%d', span),
  'ranges', string.format('%d', ranges), 'share', ARGV[3], 'begun', now())
return reindex_view()
