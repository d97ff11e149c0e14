-- Have an image looked at for the edition that is not served. ARGV: its number, image, job, name,
-- url, bytes, nonce, backlog, code: with one, it is not to be had.
-- Returns accepted, backlog_full, failed, or none: there is nothing to do.
local edition, image, job, name, url, data, nonce, backlog, code = unpack(ARGV)
local _, other = editions()
if other ~= edition then return false end
local leader, leading_names = redis.call('HMGET', key('image', image),
  'state', 'code', 'erased_at', 'number'), key('names', image)
turn_to(prefix_of(other))
local record = key('image', image)
local state = redis.call('HGET', record, 'state')
if not leader[1] or leader[1] == 'accepted' or known(state) or state == 'accepted' then
  return 'none'
end
-- What has ended otherwise than as an image ends so here.
if not known(leader[1]) then
  if not state then
    redis.call('HSET', record, 'state', leader[1])
    if leader[2] then redis.call('HSET', record, 'code', leader[2]) end
    if leader[3] then redis.call('HSET', record, 'erased_at', leader[3]) end
  end
  return 'none'
end
if code == '' and not has_room(#data, backlog) then return 'backlog_full' end

redis.call('SUNIONSTORE', key('names', image), key('names', image), leading_names)
-- It may be that of a life which was erased meanwhile.
if redis.call('SISMEMBER', leading_names, name) == 0 then
  name = redis.call('SRANDMEMBER', leading_names) or ''
end
-- It is no submission: what ends this life of the image ends it in both editions, even an erasure
-- that a store which lost its tail hears of only later.
local life = leader[4]
expect(image, nonce, life)
if code ~= '' then
  redis.call('HSET', record, 'state', 'failed', 'code', code)
  return 'failed'
end
redis.call('HSET', key('job', job), 'state', 'accepted', 'name', name, 'url', url, 'image', image,
  'attempts', 0, 'number', life, 'since', string.format('%d', now() * 1000000))
redis.call('ZADD', ACCEPTED, now(), job)
if data ~= '' then keep_upload(image, data) end
return 'accepted'
