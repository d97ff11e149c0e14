-- Have a failed job worked on again, in all editions. ARGV: job, nonce.
-- Returns accepted, or unknown, not_failed, no_source.
local job, nonce = ARGV[1], ARGV[2]
local led = redis.call('HMGET', key('job', job), 'state', 'name', 'url', 'image', 'found', 'number')
if not led[1] then return 'unknown' end
if led[1] ~= 'failed' then return 'not_failed' end
if led[3] == '' and redis.call('EXISTS', key('blob', led[4])) == 0
    and not known(redis.call('HGET', key('image', led[4]), 'state')) then
  return 'no_source'
end

local since = string.format('%d', now() * 1000000)

local function accept_again()
  local record = key('job', job)
  local old = redis.call('HMGET', record, 'state', 'image', 'found', 'code')
  local image = old[2]
  if not old[1] then
    -- It was submitted before there was this edition.
    image = led[5] and '' or led[4]
    redis.call('HSET', record, 'name', led[2], 'url', led[3], 'number', led[6])
  elseif old[1] == 'failed' then
    -- What was found behind the URL is not what was submitted.
    if old[3] then image = '' end
    redis.call('HDEL', record, 'code', 'detail', 'found', 'failed_at')
    redis.call('PERSIST', record)
    redis.call('ZREM', key('failed', old[4]), job)
  else
    return
  end
  redis.call('HSET', record, 'state', 'accepted', 'image', image, 'attempts', 0, 'since', since)
  redis.call('ZADD', ACCEPTED, now(), job)
  if image == '' then return end
  -- What was erased since is erased when the job is begun.
  if not erased_since(led[6], redis.call('HGET', key('image', image), 'erased_at')) then
    expect(image, nonce, led[6])
    redis.call('SADD', key('names', image), led[2])
  end
end

accept_again()
also_in_other(accept_again)
tell('job', job)
return 'accepted'
