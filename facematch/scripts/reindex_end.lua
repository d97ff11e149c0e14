-- Give up the generation that is not served. ARGV: reindex. Returns whether there is such a reindex.
local about = redis.call('HMGET', REINDEX, 'id', 'phase', 'generation', 'former')
if about[1] ~= ARGV[1] then return 0 end
local kept, dropped = about[4], about[3]
if about[2] == 'switched' then kept, dropped = dropped, kept end
redis.call('HSET', META, 'generation', kept, 'generations', kept)
redis.call('HDEL', META, of(dropped, 'threshold'), of(dropped, 'approximate_since'),
  of(dropped, 'building_to'))
redis.call('HSET', DROPPED, dropped, 1)
redis.call('DEL', REINDEX, RANGES, LINKING)
return 1
