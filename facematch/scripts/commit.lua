-- Give an image the next position and store its faces, or find it there already.
-- ARGV: job, image, nonce, model, encodings, boxes, width, height, faces found, ttl, log keep, norms
-- ('': none), thumbnail ('': none).
local job, image, nonce, model, encodings, boxes = unpack(ARGV, 1, 6)
local fields = redis.call('HMGET', key('job', job), 'state', 'name', 'number', 'image', 'since')
if not fields[1] or given_up() then return 'unknown' end
local pinned = redis.call('HGET', META, 'model')
if not pinned then return 'no_collection' end
if pinned ~= model then return 'model_mismatch' end
-- Every position is one that it had where it is imported from.
if redis.call('EXISTS', key('lease', 'import')) == 1 then return 'importing' end
if fields[1] == 'failed' or fields[1] == 'erased' then return {fields[1]} end
-- A job is of one image, whatever somebody else finds behind its URL.
if fields[1] == 'committed' and fields[4] ~= image then
  local its_own = redis.call('HMGET', key('image', fields[4]), 'state', 'position', 'nonce')
  return known(its_own[1]) and its_own or {'erased'}
end

local record = key('image', image)
local old = redis.call('HMGET', record, 'state', 'nonce', 'erased_at', 'number')
if erased_since(fields[3], old[3]) then
  settle(job, 'erased', ARGV[10], image)
  return {'erased'}
end

if not known(old[1]) then
  local life = fields[3]
  if old[1] == 'accepted' then nonce, life = old[2], old[4] end
  local state, position = 'done', '0'
  if encodings ~= '' then
    state = 'indexed'
    position = append('add', image, nonce, nil, ARGV[11])
    local faces = encodings
    -- Versions before schema 2, which may still run, know of encodings only.
    if schema >= 2 then
      local count = #encodings / 512
      redis.call('HINCRBY', META, 'live_faces', count)
      local size = redis.call('HINCRBY', META, 'size', count)
      if ARGV[12] ~= '' then faces = with_norms(encodings, ARGV[12], size) end
    end
    redis.call('SET', key('faces', position), faces)
    redis.call('HSET', POSITIONS, position, image)
    redis.call('ZADD', PENDING, position, image)
  end
  redis.call('HDEL', record, 'code')
  redis.call('HSET', record, 'state', state, 'nonce', nonce, 'number', life,
    'position', position, 'model', model,
    'boxes', boxes, 'width', ARGV[7], 'height', ARGV[8], 'faces_found', ARGV[9], 'due', now())
  if fields[5] then redis.call('HSET', record, 'since', fields[5]) end
  if ARGV[13] ~= '' then redis.call('HSET', record, 'thumbnail', ARGV[13]) end
  tell('image', image)
end
redis.call('SADD', key('names', image), fields[2])
redis.call('HSET', key('job', job), 'image', image)
settle(job, 'committed', ARGV[10], image)
drop_upload(image)
return redis.call('HMGET', record, 'state', 'position', 'nonce')
