-- Who is on an image. ARGV: image. Returns {number of the face, person}, ….
local about = redis.call('HMGET', key('image', ARGV[1]), 'state', 'position', 'boxes')
if not about[1] then return false end
local found = {}
if not known(about[1]) or number(about[2]) == 0 then return found end
for face = 0, #cjson.decode(about[3]) - 1 do
  local person = redis.call('HGET', PERSON_OF, face_of(about[2], face))
  if person then found[#found + 1] = {face, person_view(person)} end
end
return found
