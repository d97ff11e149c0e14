-- Say that some people are one. ARGV: person who they are, others. Returns it, false when one of them
-- is not there.
local person = ARGV[1]
for i = 1, #ARGV do
  if not redis.call('ZSCORE', LISTED, ARGV[i]) then return false end
end
local faces = redis.call('ZRANGE', key('person', person), 0, -1)
local name = redis.call('HGET', PERSON_NAMES, person)
for i = 2, #ARGV do
  name = name or redis.call('HGET', PERSON_NAMES, ARGV[i])
  if ARGV[i] ~= person then
    for _, face in ipairs(redis.call('ZRANGE', key('person', ARGV[i]), 0, -1)) do
      faces[#faces + 1] = face
      place(face, person)
    end
  end
end
if name then redis.call('HSET', PERSON_NAMES, person, name) end
say('together ' .. table.concat(faces, ' '), faces)
return person_view(person)
