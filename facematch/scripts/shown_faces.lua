-- The faces of the images at some positions, with whose they are. ARGV: positions. Returns of each
-- image that is live {position, hash, names, boxes, faces: see facematch/stored_faces.py}.
local found = {}
for _, position in ipairs(ARGV) do
  local hash = redis.call('HGET', POSITIONS, position)
  local faces = hash and redis.call('GET', key('faces', position))
  if faces then
    found[#found + 1] = {position, hash, redis.call('SMEMBERS', key('names', hash)),
      redis.call('HGET', key('image', hash), 'boxes'), faces}
  end
end
return found
