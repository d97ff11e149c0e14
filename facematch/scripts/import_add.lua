-- Take images in. ARGV: export, holder, milliseconds, log keep, model, then of each image hash, position,
-- nonce, number, boxes, width, height, faces found, faces ('': none), limit ('': of others; 'none'), how
-- many names, names. Returns {images that were erased since, …}, or what does not go.
local trouble = no_import(ARGV[1], ARGV[2], ARGV[3])
if trouble then return trouble end

local images, at = {}, 6
while at <= #ARGV do
  local image = {unpack(ARGV, at, at + 9)}
  local count = number(ARGV[at + 10])
  image[11] = {}
  for i = 1, count do image[11][i] = ARGV[at + 10 + i] end
  images[#images + 1] = image
  at = at + 11 + count
end
local expected = number(redis.call('HGET', META, 'position')) + 1
for _, image in ipairs(images) do
  local position = number(image[2])
  if position >= expected then
    if position > expected then return 'overtaken' end
    expected = position + 1
  end
end

local refused, limits = {}, key(of(served(), 'limits'))
local function take(hash, position, nonce, its_number, boxes, width, height, found, faces, limit, names)
  local record = key('image', hash)
  local erased_at = redis.call('HGET', record, 'erased_at')
  if number(position) > 0 and number(position) <= number(redis.call('HGET', META, 'position')) then
    return
  end
  if erased_since(its_number, erased_at) then
    if number(position) > 0 then nothing_at_next(ARGV[4]) end
    refused[#refused + 1] = hash
    return
  end
  drop_upload(hash)
  redis.call('HDEL', record, 'code', 'since')
  redis.call('HSET', record, 'state', number(position) > 0 and 'indexed' or 'done', 'nonce', nonce,
    'number', its_number, 'position', position, 'model', ARGV[5], 'boxes', boxes, 'width', width,
    'height', height, 'faces_found', found, 'due', now())
  for _, name in ipairs(names) do redis.call('SADD', key('names', hash), name) end
  if number(position) > 0 then
    append('add', hash, nonce, nil, ARGV[4])
    redis.call('HSET', META, 'import_to', position)
    redis.call('SET', key('faces', position), faces)
    local count = face_count(#faces)
    local size = #faces % 512 == 0 and 0 or struct.unpack('<I8', string.sub(faces, -9, -2))
    local live = redis.call('HINCRBY', META, 'live_faces', count)
    redis.call('HSET', META, 'size',
      string.format('%d', math.max(size, live, number(redis.call('HGET', META, 'size')))))
    redis.call('HSET', POSITIONS, position, hash)
    redis.call('ZADD', PENDING, position, hash)
    if limit ~= 'none' then redis.call('HSET', limits, position, limit) end
  end
  tell('image', hash)
end
for _, image in ipairs(images) do take(unpack(image, 1, 11)) end
return refused
