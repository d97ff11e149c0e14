-- Give up a generation that is not served. ARGV: reindex, the phase it must be in for that: switched,
-- or '' for any other. Returns false when there is no such reindex, else the phase it was in, or ok.
local about = redis.call('HMGET', REINDEX, 'id', 'phase', 'generation', 'former')
if about[1] ~= ARGV[1] then
  -- Said twice, because the first answer was lost.
  return redis.call('HGET', META, 'last_reindex') == ARGV[1] and 'ok'
end
if (about[2] == 'switched') ~= (ARGV[2] == 'switched') then return about[2] end
local kept, dropped = about[4], about[3]
if about[2] == 'switched' then kept, dropped = dropped, kept end
redis.call('HSET', META, 'generation', kept, 'generations', kept, 'last_reindex', ARGV[1])
forget_policy(dropped)
redis.call('HSET', DROPPED, dropped, 1)
redis.call('DEL', REINDEX, RANGES, LINKING)
return 'ok'
