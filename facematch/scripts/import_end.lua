-- All of an export is there. ARGV: export, holder, milliseconds, faces ever committed there.
-- Returns {}, or what does not go.
if redis.call('HGET', META, 'imported') == ARGV[1] then return {} end
local trouble = no_import(ARGV[1], ARGV[2], ARGV[3])
if trouble then return trouble end
redis.call('HSET', META, 'imported', ARGV[1], 'size',
  string.format('%d', math.max(number(ARGV[4]), number(redis.call('HGET', META, 'size')))))
redis.call('HDEL', META, 'import', 'import_to')
redis.call('DEL', key('lease', 'import'))
return {}
