-- Make a job durable. ARGV: job, name, url, image, bytes, nonce, backlog, ttl.
local job, name, url, image, data, nonce = unpack(ARGV, 1, 6)
if redis.call('EXISTS', key('job', job)) == 1 then return job_view(job) end

local record = key('image', image)
local state = image ~= '' and redis.call('HGET', record, 'state')
local store = data ~= '' and not known(state) and redis.call('EXISTS', key('blob', image)) == 0
if store and number(redis.call('HGET', META, 'backlog')) + #data > number(ARGV[7]) then
  return 'backlog_full'
end

if store then
  redis.call('SET', key('blob', image), data)
  redis.call('HINCRBY', META, 'backlog', #data)
end
local job_number = next_number()
redis.call('HSET', key('job', job), 'state', 'accepted', 'name', name, 'url', url, 'image', image,
  'attempts', 0, 'number', job_number)
redis.call('ZADD', ACCEPTED, now(), job)
if image ~= '' then
  if not state or state == 'failed' or state == 'erased' then
    redis.call('HSET', record, 'state', 'accepted', 'nonce', nonce, 'number', job_number)
    redis.call('HDEL', record, 'code', 'position')
  end
  redis.call('SADD', key('names', image), name)
end
if known(state) then settle(job, 'committed', ARGV[8]) end
return job_view(job)
