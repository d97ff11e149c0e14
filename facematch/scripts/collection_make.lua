-- Make a collection that is not the default one, unless it exists. ARGV: epoch, model, threshold, bounds on
-- false matches and on matches ('': none), calibration, number of its first edition: that of the
-- workers which are to work for it. Returns whether it was made, and how it stands.
if ERASED_UPTO then return 'erasing' end
local made = 0
if not CREATED then
  local edition = ARGV[7]
  migrate()
  redis.call('HSET', EDITIONS, 'created', next_number())
  if edition ~= '0' then redis.call('HSET', EDITIONS, 'served', edition, 'last', edition) end
  turn_to(prefix_of(edition))
  create_edition(unpack(ARGV, 1, 5))
  redis.call('HSET', META, 'calibration', ARGV[6])
  made = 1
end
return {made, collection_about()}
