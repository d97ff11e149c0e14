-- A page of an image's matches as of one instant. ARGV: image, limit, after distance ('': from
-- the start), after position. Returns {complete_through, more, exact, threshold,
-- {hash, names, distance, position}, …}.
local image, limit, after, member = ARGV[1], number(ARGV[2]), ARGV[3], ARGV[4]
local fields = redis.call('HMGET', key('image', image), 'state', 'position')
local generation = served()
local own = matches_of(generation, fields[2] or '0')

local oldest = redis.call('ZRANGE', PENDING, 0, 0, 'WITHSCORES')[2]
local complete = oldest and number(oldest) - 1 or number(redis.call('HGET', META, 'position'))
local told = redis.call('HMGET', META, of(generation, 'approximate_since'),
  of(generation, 'threshold'))
local exact = (not told[1] or complete < number(told[1])) and 1 or 0
local page = {complete, 0, exact, told[2]}
if not known(fields[1]) then return page end

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

local found = 0
while found <= limit do
  local window = redis.call('ZRANGE', own, start, start + limit - found, 'WITHSCORES')
  if #window == 0 then break end
  for i = 1, #window, 2 do
    local hash = redis.call('HGET', POSITIONS, window[i])
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
