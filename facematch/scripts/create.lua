-- Make the collection unless it exists. ARGV: epoch, model, threshold, bounds on false matches and on
-- matches ('': none), calibration. An edition but the first is made by edition_begin, and one that was
-- given up is not made again. What is new is of the schema of this version.
local served, other = editions()
if ERASED_UPTO then return redis.error_reply(IS_DEFAULT and 'ERASING' or 'NOCOLLECTION') end
if redis.call('HEXISTS', META, 'epoch') == 0 and prefix == BASE and (served == '0' or other == '0') then
  migrate()
  create_edition(unpack(ARGV, 1, 5))
  redis.call('HSETNX', EDITIONS, 'created', next_number())
end
if redis.call('HGET', META, 'model') == ARGV[2] then
  redis.call('HSETNX', META, 'calibration', ARGV[6])
end
return collection_view()
