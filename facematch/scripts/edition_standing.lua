-- How images stand in the edition that is served and in the other one. ARGV: its number, images.
-- Returns for each {state, faces found, state there, code there, faces found there, names}, or
-- false when there is no such edition.
local _, other = editions()
if other ~= ARGV[1] then return false end
local there = prefix_of(other)
local standings = {}
for i = 2, #ARGV do
  local here = redis.call('HMGET', key('image', ARGV[i]), 'state', 'faces_found')
  local new = redis.call('HMGET', there .. 'image:' .. ARGV[i], 'state', 'code', 'faces_found')
  standings[#standings + 1] = {here[1], here[2], new[1], new[2], new[3],
    redis.call('SMEMBERS', key('names', ARGV[i]))}
end
return standings
