-- Write a chunk of a range's matches in both directions, behind the fence.
-- ARGV: reindex, first position, seen position, seen chain, token, offset, pairs in the chunk, last,
-- whether no match is missing, for each pair position, other, distance, code: 8 bytes each,
-- little-endian, and the calibration.
local first, token, offset = ARGV[2], ARGV[5], ARGV[6]
local about = redis.call('HMGET', REINDEX, 'id', 'generation')
if about[1] ~= ARGV[1] then return 'gone' end
if not redis.call('ZSCORE', RANGES, first) then return 'done' end
if chain_at(ARGV[3]) ~= ARGV[4] then return 'moved' end
local before = redis.call('HGET', LINKING, first)
if offset ~= '0' and before ~= token .. ' ' .. offset then return 'superseded' end

local generation = about[2]
local policy = policy_of(generation)
if unrated(policy, ARGV[11]) then return 'moved' end
if ARGV[9] ~= '1' then approximate_from(generation, first) end

-- Erased since the query: then its position is gone.
local function alive(position)
  return redis.call('HEXISTS', POSITIONS, string.format('%d', position)) == 1
end

local position, there, found
local function write()
  if there then write_matches(generation, policy, string.format('%d', position), found) end
end
local data, at = ARGV[10], 1
for _ = 1, ARGV[7] do
  local this, other, distance, code
  this, other, distance, code, at = struct.unpack('<dddd', data, at)
  if this ~= position then
    write()
    position, there, found = this, alive(this), {}
  end
  if there and alive(other) then
    found[#found + 1], found[#found + 2], found[#found + 3] = other, distance, code
  end
end
write()
if ARGV[8] ~= '1' then
  redis.call('HSET', LINKING, first, token .. ' ' .. string.format('%d', offset + ARGV[7]))
  redis.call('ZADD', RANGES, now(), first)
  return 'written'
end
redis.call('HDEL', LINKING, first)
redis.call('ZREM', RANGES, first)
if redis.call('EXISTS', RANGES) == 0 then
  redis.call('HSET', REINDEX, 'phase', 'built')
  redis.call('HDEL', META, of(generation, 'building_to'))
end
return 'done'
