-- An image and a page of its matches as of one instant. ARGV: image, limit, after score ('': from
-- the start), after position, most distance and most false matches asked for ('': any). Returns false
-- for no image, or {image, complete_through, more, exact, policy, about, hashes, places, names}, where
-- image is as of image_view, policy {threshold, scored, max_false_matches, max_matches}, about {score
-- from which matches are left out ('': of others), calibration, size, live faces, length of the image's
-- faces, their norms}; and of the matches: hashes, one after the other; their positions and scores,
-- with commas between; for each its name, or its names if it has not just one.
local limit, after, member = number(ARGV[2]), ARGV[3], ARGV[4]
local call = redis.call
local image = image_view(ARGV[1])
if not image then return false end
local generation, position = served(), image[1][2] or '0'
local own = matches_of(generation, position)

local oldest = call('ZRANGE', PENDING, 0, 0, 'WITHSCORES')[2]
local meta = call('HMGET', META, 'position', of(generation, 'approximate_since'), 'calibration',
  'size', 'live_faces', of(generation, 'threshold'), of(generation, 'scored'),
  of(generation, 'max_false_matches'), of(generation, 'max_matches'))
local complete = oldest and number(oldest) - 1 or number(meta[1])
local exact = (not meta[2] or complete < number(meta[2])) and 1 or 0
local scored, size = meta[7], number(meta[4])
local faces = key('faces', position)
local length = call('STRLEN', faces)
local hashes, places, names = {}, {}, {}
local function page(more)
  return {image, complete, more, exact, {meta[6], scored, meta[8], meta[9]},
    {call('HGET', key(of(generation, 'limits')), position), meta[3], meta[4], meta[5],
      length, length % 512 == 0 and '' or call('GETRANGE', faces, face_count(length) * 512, -10)},
    table.concat(hashes), table.concat(places, ','), names}
end
if not known(image[1][1]) then return page(0) end

local highest = UNRATED
if scored then
  highest = math.min(most_code(tonumber(meta[8] or ''), size), most_code(tonumber(ARGV[6]), size))
end
local most_distance = tonumber(ARGV[5]) or math.huge
-- Of what is kept, all: then no score need be looked at.
local all = most_distance == math.huge and highest >= UNRATED

-- The cursor's own member may have been erased since: then its place is counted out.
local start = 0
if after ~= '' then
  start = call('ZCOUNT', own, '-inf', '(' .. after)
  if tonumber(call('ZSCORE', own, member) or 'nan') == tonumber(after) then
    start = call('ZRANK', own, member) + 1
  else
    for _, other in ipairs(call('ZRANGEBYSCORE', own, after, after)) do
      if other <= member then start = start + 1 end
    end
  end
end

-- One call for many takes a fraction of what they take one by one; unpack takes some thousands.
local AT_ONCE = 1000
local names_of, found, more, done = key('names', ''), 0, 0, false
while more == 0 and not done do
  local some = math.min(math.max(limit + 1 - found, 100), AT_ONCE)
  local window = call('ZRANGE', own, start, start + some - 1, 'WITHSCORES')
  start, done = start + some, #window < 2 * some
  local others, scores, listed = {}, {}, 0
  for i = 1, #window, 2 do
    local score = not all and tonumber(window[i + 1])
    if score and scored and score >= (highest + 1) * DISTANCES then
      done = true
      break
    end
    if not score or (scored and score % DISTANCES / 1e6 or score) <= most_distance then
      listed = listed + 1
      others[listed], scores[listed] = window[i], window[i + 1]
    end
  end
  local there = listed > 0 and call('HMGET', POSITIONS, unpack(others)) or others
  for i = 1, listed do
    local hash = there[i]
    if hash and found == limit then
      more = 1
      break
    elseif hash then
      found = found + 1
      local its = call('SMEMBERS', names_of .. hash)
      hashes[found], names[found] = hash, its[2] and its or its[1] or its
      places[2 * found - 1], places[2 * found] = others[i], scores[i]
    end
  end
end
return page(more)
