-- Make a job durable, in all editions. ARGV: job, name, url, image, bytes, nonce, backlog, ttl, why ('': not said).
-- In the edition that is not served, bytes without room are not kept: its job fails.
-- Returns the job, and the edition that is served.
local job, name, url, image, data, nonce, backlog, ttl, basis = unpack(ARGV)

local function there()
  return redis.call('EXISTS', key('job', job)) == 1
end

local function wanted()
  return data ~= '' and not known(redis.call('HGET', key('image', image), 'state'))
    and redis.call('EXISTS', key('blob', image)) == 0
end

local function accept(store)
  if store then keep_upload(image, data) end
  local job_number = next_number()
  redis.call('HSET', key('job', job), 'state', 'accepted', 'name', name, 'url', url, 'image', image,
    'attempts', 0, 'number', job_number)
  if basis ~= '' then redis.call('HSET', key('job', job), 'basis', basis) end
  redis.call('ZADD', ACCEPTED, now(), job)
  if image == '' then return end
  expect(image, nonce, job_number)
  redis.call('SADD', key('names', image), name)
  if known(redis.call('HGET', key('image', image), 'state')) then
    settle(job, 'committed', ttl, image)
  end
end

if not there() then
  local store = wanted()
  if store and not has_room(#data, backlog) then return 'backlog_full' end
  accept(store)
end
also_in_other(function()
  if there() then return end
  local store = wanted()
  local room = not store or has_room(#data, backlog)
  accept(store and room)
  if not room then fail_job(job, 'backlog_full', '', image, ttl) end
end)
return {job_view(job), (editions())}
