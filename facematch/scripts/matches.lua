-- A page of an image's matches as of one instant. ARGV: image, limit, after score ('': from the
-- start), after position, most distance and most false matches asked for ('': any). Returns
-- {complete_through, more, exact, policy, about, {hash, names, score, position}, …}, where policy is
-- {threshold, scored, max_false_matches, max_matches}, about {score from which matches are left out
-- ('': of others), calibration, size, live faces, length of the image's faces, their norms}.
local image, limit, after, member = ARGV[1], number(ARGV[2]), ARGV[3], ARGV[4]
local fields = redis.call('HMGET', key('image', image), 'state', 'position')
local generation, position = served(), fields[2] or '0'
local own = matches_of(generation, position)

local oldest = redis.call('ZRANGE', PENDING, 0, 0, 'WITHSCORES')[2]
local complete = oldest and number(oldest) - 1 or number(redis.call('HGET', META, 'position'))
local since = redis.call('HGET', META, of(generation, 'approximate_since'))
local exact = (not since or complete < number(since)) and 1 or 0
local about = redis.call('HMGET', META, 'calibration', 'size', 'live_faces')
local faces = key('faces', position)
local length = redis.call('STRLEN', faces)
local page = {complete, 0, exact,
  redis.call('HMGET', META, of(generation, 'threshold'), of(generation, 'scored'),
    of(generation, 'max_false_matches'), of(generation, 'max_matches')),
  {redis.call('HGET', key(of(generation, 'limits')), position), about[1], about[2], about[3],
    length, length % 512 == 0 and '' or redis.call('GETRANGE', faces, face_count(length) * 512, -10)}}
if not known(fields[1]) then return page end

local policy, size = policy_of(generation), number(about[2])
local highest = UNRATED
if policy.scored then
  highest = math.min(most_code(policy.max_false, size), most_code(tonumber(ARGV[6]), size))
end
local most_distance = tonumber(ARGV[5]) or math.huge
local function listed(score)
  local distance = policy.scored and score % DISTANCES / 1e6 or score
  return distance <= most_distance
end
local function ended(score)
  return policy.scored and score >= (highest + 1) * DISTANCES
end

-- The cursor's own member may have been erased since: then its place is counted out.
local start = 0
if after ~= '' then
  start = redis.call('ZCOUNT', own, '-inf', '(' .. after)
  if tonumber(redis.call('ZSCORE', own, member) or 'nan') == tonumber(after) then
    start = redis.call('ZRANK', own, member) + 1
  else
    for _, other in ipairs(redis.call('ZRANGEBYSCORE', own, after, after)) do
      if other <= member then start = start + 1 end
    end
  end
end

local found, done = 0, false
while found <= limit and not done do
  local window = redis.call('ZRANGE', own, start, start + math.max(limit - found, 100), 'WITHSCORES')
  if #window == 0 then break end
  for i = 1, #window, 2 do
    local score = tonumber(window[i + 1])
    done = ended(score)
    if done then break end
    local hash = listed(score) and redis.call('HGET', POSITIONS, window[i])
    if hash then
      found = found + 1
      if found > limit then
        page[2] = 1
        break
      end
      page[#page + 1] = {hash, redis.call('SMEMBERS', key('names', hash)), window[i + 1], window[i]}
    end
  end
  start = start + #window / 2
end
return page
