-- Forget match sets of generations that were given up. ARGV: how many positions at once.
-- Returns whether none are left.
local dropped = redis.call('HGETALL', DROPPED)
if #dropped == 0 then return 1 end
local generation, first = dropped[1], number(dropped[2])
local behind = first + ARGV[1]
for position = first, behind - 1 do
  redis.call('UNLINK', matches_of(generation, string.format('%d', position)))
end
if behind > number(redis.call('HGET', META, 'position')) then
  redis.call('HDEL', DROPPED, generation)
  redis.call('UNLINK', key(of(generation, 'limits')))
else
  redis.call('HSET', DROPPED, generation, string.format('%d', behind))
end
return redis.call('EXISTS', DROPPED) == 0 and 1 or 0
