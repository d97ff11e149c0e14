-- Move the later edition on. ARGV: its number, and built, switched, rolled back, cancelled or dropped.
-- Returns false when there is no such edition, else the phase it was in if that does not go, or ok.
local new, wanted = ARGV[1], ARGV[2]
local served, other = editions()
local gives_up = wanted == 'cancelled' or wanted == 'dropped'
if not other or math.max(number(served), number(other)) ~= number(new) then
  -- Said twice, because the first answer was lost.
  return gives_up and redis.call('HGET', EDITIONS, 'ended') == new and 'ok'
end
local phase = 'switched'
if other == new then phase = redis.call('HGET', EDITIONS, 'built') and 'built' or 'building' end

if wanted == 'built' then
  if phase == 'building' then redis.call('HSET', EDITIONS, 'built', 1) end
  return 'ok'
end
if wanted == 'switched' or wanted == 'rolled back' then
  if phase == 'building' then return phase end
  if (wanted == 'switched') ~= (phase == 'switched') then
    redis.call('HSET', EDITIONS, 'served', other, 'other', served)
    turn_to(prefix_of(other))
    count_uploads()
  end
  return 'ok'
end
if (wanted == 'dropped') ~= (phase == 'switched') then return phase end
redis.call('HDEL', EDITIONS, 'other', 'built', 'encoder.' .. other, 'detector.' .. other)
redis.call('HSET', EDITIONS, 'ended', new)
redis.call('SADD', DROPPED_EDITIONS, other)
return 'ok'
