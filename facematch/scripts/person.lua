-- A person with a page of faces, as of one instant. ARGV: person, limit, after face.
-- Returns {person, ungrouped, more, {face, hash, names, boxes}, …}.
local view = person_view(ARGV[1])
if not view then return false end
local limit = number(ARGV[2])
local page = {view, redis.call('ZCARD', MARKS), 0}
local faces = redis.call('ZRANGEBYSCORE', key('person', ARGV[1]), '(' .. ARGV[3], '+inf',
  'LIMIT', 0, limit + 1)
for i, face in ipairs(faces) do
  if i > limit then
    page[3] = 1
    break
  end
  local hash = redis.call('HGET', POSITIONS, position_of(face))
  if hash then
    page[#page + 1] = {face, hash, redis.call('SMEMBERS', key('names', hash)),
      redis.call('HGET', key('image', hash), 'boxes')}
  end
end
return page
