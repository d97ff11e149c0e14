-- Make another edition, in which from now on everything happens too.
-- ARGV: epoch, model, threshold, bounds on false matches and on matches, encoder, detector. Returns the editions.
local served, other = editions()
local pinned = redis.call('HGET', META, 'model')
if not pinned then return false end
-- Versions before schema 1, which may still run, know of one edition only.
if schema < 1 or (schema < 2 and ARGV[4] ~= '') then return 'old_data' end
if other or redis.call('EXISTS', REINDEX) == 1 then return 'exists' end
if pinned == ARGV[2] then return 'same_model' end
local new = string.format('%d', number(redis.call('HGET', EDITIONS, 'last')) + 1)
redis.call('HDEL', EDITIONS, 'built')
redis.call('HSET', EDITIONS, 'served', served, 'other', new, 'last', new,
  'encoder.' .. new, ARGV[6], 'detector.' .. new, ARGV[7])
turn_to(prefix_of(new))
create_edition(unpack(ARGV, 1, 5))
return editions_view()
