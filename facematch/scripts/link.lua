-- Write a chunk of an image's matches in both directions, behind the fence.
-- ARGV: image, position, nonce, seen position, seen chain, token, offset, last, seconds for which
-- another linker has precedence, whether no match is missing, how far they were
-- looked for, then other, distance, …
local image, position, nonce = unpack(ARGV, 1, 3)
local record = key('image', image)
local now_is = redis.call('HMGET', record, 'state', 'position', 'nonce', 'linker', 'linked',
  'linked_at')
if given_up() or now_is[2] ~= position or now_is[3] ~= nonce then return 'gone' end
if now_is[1] == 'done' then return 'done' end
if now_is[1] ~= 'indexed' then return 'gone' end
if chain_at(ARGV[4]) ~= ARGV[5] then return 'moved' end
local thresholds = {}
for _, generation in ipairs(generations()) do
  thresholds[generation] = threshold_of(generation)
  if thresholds[generation] > tonumber(ARGV[11]) then return 'moved' end
end
local token, offset = ARGV[6], number(ARGV[7])
if offset > 0 and (now_is[4] ~= token or number(now_is[5]) ~= offset) then return 'superseded' end
-- Somebody is at it: two would only undo each other's progress.
local recent = number(now()) - number(now_is[6]) < number(ARGV[9])
if offset == 0 and now_is[4] and now_is[4] ~= token and recent then return 'superseded' end

-- Erased since the query: its position is gone.
local alive = {}
for i = 12, #ARGV, 2 do alive[i] = redis.call('HEXISTS', POSITIONS, ARGV[i]) == 1 end
for generation, threshold in pairs(thresholds) do
  if ARGV[10] ~= '1' then approximate_from(generation, position) end
  local own = matches_of(generation, position)
  for i = 12, #ARGV, 2 do
    if alive[i] and tonumber(ARGV[i + 1]) <= threshold then
      redis.call('ZADD', own, ARGV[i + 1], ARGV[i])
      redis.call('ZADD', matches_of(generation, ARGV[i]), ARGV[i + 1], position)
    end
  end
end
if ARGV[8] ~= '1' then
  redis.call('HSET', record, 'linker', token, 'linked', offset + (#ARGV - 11) / 2,
    'linked_at', now())
  return 'written'
end
redis.call('HDEL', record, 'linker', 'linked', 'linked_at', 'due')
redis.call('HSET', record, 'state', 'done')
redis.call('ZREM', PENDING, image)
mark(position)
tell('image', image)
return 'done'
