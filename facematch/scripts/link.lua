-- Write a chunk of an image's matches in both directions, behind the fence.
-- ARGV: image, position, nonce, seen position, seen chain, token, offset, last, seconds for which
-- another linker has precedence, whether no match is missing, how far they were
-- looked for, up to which code, by which calibration, how many, and for each
-- other, distance, code: 8 bytes each, little-endian.
local image, position, nonce = unpack(ARGV, 1, 3)
local record = key('image', image)
local now_is = redis.call('HMGET', record, 'state', 'position', 'nonce', 'linker', 'linked',
  'linked_at')
if given_up() or now_is[2] ~= position or now_is[3] ~= nonce then return 'gone' end
if now_is[1] == 'done' then return 'done' end
if now_is[1] ~= 'indexed' then return 'gone' end
if chain_at(ARGV[4]) ~= ARGV[5] then return 'moved' end
local policies = {}
for _, generation in ipairs(generations()) do
  local policy = policy_of(generation)
  if policy.threshold > tonumber(ARGV[11]) or codes_to(policy, position) > tonumber(ARGV[12])
    or unrated(policy, ARGV[13]) then return 'moved' end
  policies[generation] = policy
end
local token, offset = ARGV[6], number(ARGV[7])
if offset > 0 and (now_is[4] ~= token or number(now_is[5]) ~= offset) then return 'superseded' end
-- Somebody is at it: two would only undo each other's progress.
local recent = number(now()) - number(now_is[6]) < number(ARGV[9])
if offset == 0 and now_is[4] and now_is[4] ~= token and recent then return 'superseded' end

local found, at = {}, 1
for _ = 1, ARGV[14] do
  local other, distance, code
  other, distance, code, at = struct.unpack('<ddd', ARGV[15], at)
  -- Erased since the query: its position is gone.
  if redis.call('HEXISTS', POSITIONS, string.format('%d', other)) == 1 then
    found[#found + 1], found[#found + 2], found[#found + 3] = other, distance, code
  end
end
for generation, policy in pairs(policies) do
  if ARGV[10] ~= '1' then approximate_from(generation, position) end
  write_matches(generation, policy, position, found)
end
if ARGV[8] ~= '1' then
  redis.call('HSET', record, 'linker', token, 'linked', offset + ARGV[14], 'linked_at', now())
  return 'written'
end
redis.call('HDEL', record, 'linker', 'linked', 'linked_at', 'due')
redis.call('HSET', record, 'state', 'done')
redis.call('ZREM', PENDING, image)
mark(position)
tell('image', image)
local jobs = redis.call('SMEMBERS', key('jobs', image))
redis.call('DEL', key('jobs', image))
for _, job in ipairs(jobs) do happened('done', image, job) end
-- What a version that knows of no events has committed.
if #jobs == 0 then happened('done', image, '') end
happened('linked', image, '', position)
return 'done'
