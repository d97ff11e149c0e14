-- Images that were taken in have all their matches. ARGV: export, holder, milliseconds, images.
-- Returns {}, or what does not go.
local trouble = no_import(ARGV[1], ARGV[2], ARGV[3])
if trouble then return trouble end
for i = 4, #ARGV do
  local record = key('image', ARGV[i])
  if redis.call('HGET', record, 'state') == 'indexed' then
    redis.call('HDEL', record, 'linker', 'linked', 'linked_at', 'due')
    redis.call('HSET', record, 'state', 'done')
    redis.call('ZREM', PENDING, ARGV[i])
    tell('image', ARGV[i])
    -- Of submissions that came to it meanwhile.
    local jobs = redis.call('SMEMBERS', key('jobs', ARGV[i]))
    redis.call('DEL', key('jobs', ARGV[i]))
    for _, job in ipairs(jobs) do happened('done', ARGV[i], job) end
  end
end
return {}
