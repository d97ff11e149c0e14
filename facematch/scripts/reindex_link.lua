-- Write a chunk of a range's matches in both directions, behind the fence.
-- ARGV: reindex, first position, seen position, seen chain, token, offset, pairs in the chunk, last,
-- whether no match is missing, then position, how many, other, distance, …, position, …
local first, token, offset = ARGV[2], ARGV[5], ARGV[6]
local about = redis.call('HMGET', REINDEX, 'id', 'generation')
if about[1] ~= ARGV[1] then return 'gone' end
if not redis.call('ZSCORE', RANGES, first) then return 'done' end
if chain_at(ARGV[3]) ~= ARGV[4] then return 'moved' end
local before = redis.call('HGET', LINKING, first)
if offset ~= '0' and before ~= token .. ' ' .. offset then return 'superseded' end

local generation = about[2]
if ARGV[9] ~= '1' then approximate_from(generation, first) end
local i = 10
while i < #ARGV do
  local position, behind = ARGV[i], i + 2 + 2 * ARGV[i + 1]
  -- Erased since the query: its position is gone.
  if redis.call('HEXISTS', POSITIONS, position) == 1 then
    local own = {}
    for j = i + 2, behind - 1, 2 do
      if redis.call('HEXISTS', POSITIONS, ARGV[j]) == 1 then
        own[#own + 1], own[#own + 2] = ARGV[j + 1], ARGV[j]
        redis.call('ZADD', matches_of(generation, ARGV[j]), ARGV[j + 1], position)
      end
    end
    if #own > 0 then redis.call('ZADD', matches_of(generation, position), unpack(own)) end
  end
  i = behind
end
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
