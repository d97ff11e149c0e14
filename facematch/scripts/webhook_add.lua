-- Tell a URL of events. ARGV: webhook, url, secret, place, how many there may be.
-- Returns the webhook, false when there are as many.
local id = ARGV[1]
if not redis.call('ZSCORE', WEBHOOKS, id) then
  if redis.call('ZCARD', WEBHOOKS) >= number(ARGV[5]) then return false end
  redis.call('HSET', webhook(id), 'url', ARGV[2], 'secret', ARGV[3], 'place', ARGV[4],
    'created', now())
  redis.call('ZADD', WEBHOOKS, now(), id)
end
return webhook_view(id)
