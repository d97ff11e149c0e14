-- End an accepted job as failed. ARGV: job, code, detail, image, ttl.
local job, code, detail, image = unpack(ARGV, 1, 4)
local fields = redis.call('HMGET', key('job', job), 'state', 'image')
if fields[1] ~= 'accepted' then return end
if image == '' then image = fields[2] end
redis.call('HSET', key('job', job), 'code', code, 'detail', detail, 'image', image)
settle(job, 'failed', ARGV[5])
if redis.call('HGET', key('image', image), 'state') == 'accepted' then
  redis.call('HSET', key('image', image), 'state', 'failed', 'code', code)
  drop_upload(image)
  tell('image', image)
end
