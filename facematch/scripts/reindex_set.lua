-- Go from one phase to another. ARGV: reindex, the phase to come to, share ('': as it is).
-- Returns false when there is no such reindex, else the phase it was in.
local about = redis.call('HMGET', REINDEX, 'id', 'phase', 'generation', 'former')
if about[1] ~= ARGV[1] then return false end
local from, to = about[2], ARGV[2]
local unfinished = from == 'building' or from == 'paused'
local allowed = (unfinished and (to == 'building' or to == 'paused'))
  or (from == 'built' and to == 'switched') or (from == 'switched' and to == 'built')
if from == to and ARGV[3] == '' then return 'ok' end
if not allowed then return from end

redis.call('HSET', REINDEX, 'phase', to)
if ARGV[3] ~= '' then redis.call('HSET', REINDEX, 'share', ARGV[3]) end
if from == 'paused' and to == 'building' then
  -- Messages of a paused reindex were thrown away.
  for _, first in ipairs(redis.call('ZRANGE', RANGES, 0, -1)) do
    redis.call('ZADD', RANGES, 0, first)
  end
end
if to == 'switched' then redis.call('HSET', META, 'generation', about[3]) end
if to == 'built' then redis.call('HSET', META, 'generation', about[4]) end
return 'ok'
