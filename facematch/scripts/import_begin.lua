-- Begin to import an export into an empty collection, or go on. ARGV: export, holder, milliseconds that
-- the lease lasts, model, calibration, threshold, bounds on false matches and on matches ('': none),
-- whether it is scored, approximate since ('': no), last number.
-- Returns {position, oldest pending ('': none), whether it has ended}, or what does not go.
local export, model, calibration = ARGV[1], ARGV[4], ARGV[5]
if redis.call('HEXISTS', META, 'epoch') == 0 or given_up() then return 'no_collection' end
if redis.call('HGET', META, 'imported') == export then return {redis.call('HGET', META, 'position'), '', 1} end
if schema < SCHEMA then return 'old_data' end
if redis.call('HGET', META, 'import') ~= export then
  if number(redis.call('HGET', META, 'position')) > 0 then return 'not_empty' end
  local pinned = redis.call('HGET', META, 'calibration') or ''
  if redis.call('HGET', META, 'model') ~= model then return 'other_model' end
  if pinned ~= '' and pinned ~= calibration then return 'other_model' end
  local holds = redis.call('GET', key('lease', 'import'))
  if holds and holds ~= ARGV[2] then return 'overtaken' end
  redis.call('HSET', META, 'import', export, 'import_to', 0)
end
local trouble = no_import(export, ARGV[2], ARGV[3])
if trouble then return trouble end

if number(redis.call('HGET', META, 'position')) == 0 then
  local generation = served()
  forget_policy(generation)
  set_policy(generation, ARGV[6], ARGV[7], ARGV[8])
  if ARGV[9] ~= '1' then redis.call('HDEL', META, of(generation, 'scored')) end
  if ARGV[10] ~= '' then approximate_from(generation, ARGV[10]) end
  redis.call('HSET', META, 'calibration', calibration)
  -- An erasure from now on is behind all that was submitted there, whatever the clocks say.
  if number(redis.call('GET', BASE .. 'submissions')) < number(ARGV[11]) then
    redis.call('SET', BASE .. 'submissions', ARGV[11])
  end
end
local oldest = redis.call('ZRANGE', PENDING, 0, 0, 'WITHSCORES')[2]
return {redis.call('HGET', META, 'position'), oldest or '', 0}
