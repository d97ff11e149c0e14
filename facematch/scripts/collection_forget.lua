-- Of the collection nothing is left but what is known of it as a whole: that goes now. The default
-- one is there again, empty. ARGV: epoch. The number given last stays, so that whatever comes later
-- under this name has higher ones.
if not ERASED_UPTO then return 0 end
tell_uploads(0)
if not IS_DEFAULT then return redis.call('DEL', EDITIONS) end
local edition = editions()
local function kept(name)
  return redis.call('HGET', EDITIONS, 'kept.' .. name)
end
local model, calibration = kept('model'), kept('calibration')
local threshold, max_false, most = kept('threshold'), kept('max_false_matches'), kept('max_matches')
local encoder = redis.call('HMGET', EDITIONS, 'encoder.' .. edition, 'detector.' .. edition)
local last = redis.call('HGET', EDITIONS, 'last')
redis.call('DEL', EDITIONS)
schema = SCHEMA
redis.call('HSET', EDITIONS, 'schema', SCHEMA, 'created', next_number())
if last then redis.call('HSET', EDITIONS, 'served', edition, 'last', last) end
if encoder[1] then redis.call('HSET', EDITIONS, 'encoder.' .. edition, encoder[1]) end
if encoder[2] then redis.call('HSET', EDITIONS, 'detector.' .. edition, encoder[2]) end
if model then
  turn_to(prefix_of(edition))
  create_edition(ARGV[1], model, threshold, max_false, most)
  redis.call('HSET', META, 'calibration', calibration)
end
return 1
