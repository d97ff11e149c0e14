-- Write a chunk of a range's matches in both directions, behind the fence.
-- ARGV: reindex, first position, seen position, seen chain, token, offset, pairs in the chunk, last,
-- whether no match is missing, and for each pair position, other, distance: 8 bytes each, little-endian.
local first, token, offset = ARGV[2], ARGV[5], ARGV[6]
local about = redis.call('HMGET', REINDEX, 'id', 'generation')
if about[1] ~= ARGV[1] then return 'gone' end
if not redis.call('ZSCORE', RANGES, first) then return 'done' end
if chain_at(ARGV[3]) ~= ARGV[4] then return 'moved' end
local before = redis.call('HGET', LINKING, first)
if offset ~= '0' and before ~= token .. ' ' .. offset then return 'superseded' end

local generation = about[2]
if ARGV[9] ~= '1' then approximate_from(generation, first) end
local sets, data, at = matches_of(generation, ''), ARGV[10], 1

-- Erased since the query: then its position is gone.
local function alive(position)
  return redis.call('HEXISTS', POSITIONS, position) == 1
end

local position, there, own
local function write_own()
  if own and #own > 0 then redis.call('ZADD', sets .. position, unpack(own)) end
end
for _ = 1, ARGV[7] do
  local this, other, distance
  this, other, distance, at = struct.unpack('<ddd', data, at)
  this, other = string.format('%d', this), string.format('%d', other)
  if this ~= position then
    write_own()
    position, there, own = this, alive(this), {}
  end
  if there and alive(other) then
    own[#own + 1], own[#own + 2] = distance, other
    redis.call('ZADD', sets .. other, distance, position)
  end
end
write_own()
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
