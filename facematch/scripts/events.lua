-- What has happened since a place. ARGV: the last entry that was read ('': the last there is), score
-- and position of the last match in it ('': it was read to its end), and how many are asked for.
-- Returns {whether the place is gone, whether there may be more, entry, score and position to go on
-- behind, whether scores are scored, the calibration, {entry, kind, image, job, about} or
-- {entry, 'matched', older image, newer image, score, position of the older}, …}.
local after, score, member, limit = ARGV[1], ARGV[2], ARGV[3], number(ARGV[4])

local generation = served()
local policy = policy_of(generation)
local highest = UNRATED
if policy.scored then
  highest = most_code(policy.max_false, number(redis.call('HGET', META, 'size')))
end
local page = {0, 0, after, score, member, policy.scored or '',
  redis.call('HGET', META, 'calibration') or ''}
local ABOUT = #page

local function fields_of(entry)
  local told = {}
  for i = 1, #entry[2], 2 do told[entry[2][i]] = entry[2][i + 1] end
  return told
end

local function tail()
  local last = redis.call('XREVRANGE', HAPPENED, '+', '-', 'COUNT', 1)[1]
  return last and last[1] or '0-0'
end

-- Whether what came behind the place may have been trimmed away, or lost.
local function is_gone()
  if after ~= '0-0' then return #redis.call('XRANGE', HAPPENED, after, after) == 0 end
  if redis.call('EXISTS', HAPPENED) == 0 then return false end
  local info, about = redis.call('XINFO', 'STREAM', HAPPENED), {}
  for i = 1, #info, 2 do about[info[i]] = info[i + 1] end
  return about['entries-added'] ~= about['length']
end

-- Of match sets so many are looked at in one call, whoever they are told of: a millisecond is a
-- thousand or less, and everybody else waits for it.
local left = 2000

local function full()
  return #page - ABOUT >= limit or left <= 0
end

-- How many of a match set come up to the last one that was told, which may have gone since.
local function told_of(own)
  if member == '' then return 0 end
  if tonumber(redis.call('ZSCORE', own, member) or 'nan') == tonumber(score) then
    return redis.call('ZRANK', own, member) + 1
  end
  local count = redis.call('ZCOUNT', own, '-inf', '(' .. score)
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', own, score, score)) do
    if other <= member then count = count + 1 end
  end
  return count
end

-- The matches of an image with older ones, as they are now: so none with one that was erased.
-- Returns whether that is all.
local function expand(entry, image, position)
  if redis.call('HGET', POSITIONS, position) ~= image then return true end
  local own, its_own = matches_of(generation, position), number(position)
  local start = told_of(own)
  while true do
    local window = redis.call('ZRANGE', own, start, start + 99, 'WITHSCORES')
    if #window == 0 then return true end
    for i = 1, #window, 2 do
      local other, its = window[i], window[i + 1]
      if policy.scored and tonumber(its) >= (highest + 1) * DISTANCES then
        left = left - i / 2
        return true
      end
      local older = tonumber(other) < its_own and redis.call('HGET', POSITIONS, other)
      if older then
        if full() then return false end
        page[#page + 1] = {entry, 'matched', older, image, its, other}
        page[3], page[4], page[5] = entry, its, other
      end
    end
    start, left = start + #window / 2, left - #window / 2
    if left <= 0 then
      page[3], page[4], page[5] = entry, window[#window], window[#window - 1]
      return false
    end
  end
end

local function read(entry)
  local told = fields_of(entry)
  if told.kind ~= 'linked' then
    page[#page + 1] = {entry[1], told.kind, told.image, told.job, told.about}
  elseif not expand(entry[1], told.image, told.about) then
    return
  end
  page[3], page[4], page[5], member = entry[1], '', '', ''
end

if after == '' or is_gone() then
  page[1], page[3], page[4], page[5] = after ~= '' and 1 or 0, tail(), '', ''
  return page
end
if member ~= '' then read(redis.call('XRANGE', HAPPENED, after, after)[1]) end
if not full() then
  for _, entry in ipairs(redis.call('XRANGE', HAPPENED, '(' .. after, '+', 'COUNT', limit)) do
    if full() then break end
    read(entry)
  end
end
page[2] = page[3] ~= tail() and 1 or 0
if page[5] ~= '' then page[2] = 1 end
return page
