-- Mark live images. ARGV: limit, reach and generation for which that is the last of it ('': it is not),
-- positions.
if given_up() then return 0 end
for i = 4, #ARGV do
  if redis.call('HEXISTS', POSITIONS, ARGV[i]) == 1 then mark(ARGV[i]) end
end
local about = redis.call('HMGET', PEOPLE, 'limit', 'reach', 'generation')
if about[1] == ARGV[1] and about[2] == ARGV[2] and about[3] == ARGV[3] then
  redis.call('HDEL', PEOPLE, 'marking')
end
return 1
