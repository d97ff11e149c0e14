-- Hide an image at once. ARGV: image, nonce ('' for any), log keep.
local image, nonce = ARGV[1], ARGV[2]
local record = key('image', image)
local old = redis.call('HMGET', record, 'state', 'nonce', 'position')
if not old[1] then
  if nonce == '' then return 'unknown' end
  old = {'accepted', nonce, false}
end
if nonce ~= '' and old[2] ~= nonce then return {nonce, '0'} end
local position = old[3] or '0'
local erased_at = redis.call('HGET', META, 'submissions') or '0'
if old[1] == 'erased' then
  -- A replay means the erasure as it was, not the jobs submitted since.
  if nonce == '' then redis.call('HSET', record, 'erased_at', erased_at) end
  return {old[2], position}
end
if number(position) > 0 then
  append('del', image, old[2], position, ARGV[3])
  redis.call('DEL', key('faces', position))
  redis.call('HDEL', POSITIONS, position)
  redis.call('ZREM', PENDING, image)
  redis.call('SADD', ERASING, position)
end
drop_upload(image)
redis.call('DEL', key('names', image), record)
redis.call('HSET', record, 'state', 'erased', 'nonce', old[2], 'position', position,
  'erased_at', erased_at)
tell('image', image)
return {old[2], position}
