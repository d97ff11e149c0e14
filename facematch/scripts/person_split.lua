-- Say that some faces are not this person's. ARGV: person, whether they are one other person, then an
-- image, the number of the face in it and an id for a new person, for each of them.
-- Returns {new person, …}, or what does not go.
local person = ARGV[1]
if not redis.call('ZSCORE', LISTED, person) then return 'no_person' end
local taken, faces = {}, {}
for i = 3, #ARGV, 3 do
  local position = redis.call('HGET', key('image', ARGV[i]), 'position')
  local face = position and number(position) > 0 and face_of(position, ARGV[i + 1])
  if not face or redis.call('HGET', PERSON_OF, face) ~= person then return 'not_theirs' end
  if not taken[face] then faces[#faces + 1] = face end
  taken[face] = taken[face] or ARGV[i + 2]
end
local others = {}
for _, face in ipairs(redis.call('ZRANGE', key('person', person), 0, -1)) do
  if not taken[face] then others[#others + 1] = face end
end
if #others == 0 then return 'nobody_left' end
say('apart ' .. table.concat(faces, ' ') .. ' / ' .. table.concat(others, ' '), faces, others)
local together, views = ARGV[2] == '1', {}
if together then say('together ' .. table.concat(faces, ' ')) end
for i, face in ipairs(faces) do
  place(face, together and ARGV[5] or taken[face])
  if i == 1 or not together then views[#views + 1] = taken[face] end
end
for i, view in ipairs(views) do views[i] = person_view(view) end
return views
