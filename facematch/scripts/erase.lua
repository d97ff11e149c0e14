-- Hide an image at once, in all editions. ARGV: image, up to which number ('': now), log keep.
-- Every life of the image that was submitted up to that number ends.
local image, upto = ARGV[1], ARGV[2]

local function erase()
  local record = key('image', image)
  local old = redis.call('HMGET', record, 'state', 'nonce', 'position', 'number', 'erased_at',
    'boxes')
  local erased_at = string.format('%d', math.max(number(upto), number(old[5])))
  if not old[1] then redis.call('HSET', record, 'state', 'erased') end
  redis.call('HSET', record, 'erased_at', erased_at)
  if not old[1] or number(old[4]) > number(upto) then return '0' end

  local position = old[3] or '0'
  -- Processes of an older version leave these.
  redis.call('DEL', bases_of(image))
  if old[1] == 'erased' then return position end
  if number(position) > 0 then
    append('del', image, old[2], position, ARGV[3])
    local faces = key('faces', position)
    if schema >= 2 then
      redis.call('HINCRBY', META, 'live_faces', -face_count(redis.call('STRLEN', faces)))
    end
    redis.call('DEL', faces)
    redis.call('HDEL', POSITIONS, position)
    redis.call('ZREM', PENDING, image)
    redis.call('SADD', ERASING, position)
    for face = 1, #cjson.decode(old[6]) do place(face_of(position, face - 1), '') end
    mark(position)
  end
  drop_upload(image)
  redis.call('DEL', key('names', image), key('jobs', image), record)
  redis.call('HSET', record, 'state', 'erased', 'position', position, 'erased_at', erased_at,
    'gone_at', string.format('%d', now() * 1000000))
  tell('image', image)
  happened('erased', image, '')
  return position
end

local seen = upto ~= ''
local function look()
  seen = seen or redis.call('EXISTS', key('image', image)) == 1
end
look()
also_in_other(look)
if not seen then return 'unknown' end
if upto == '' then upto = next_number() end
local position = erase()
also_in_other(erase)
return {position, upto}
