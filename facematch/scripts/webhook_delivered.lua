-- A webhook has taken what came before a place. ARGV: webhook, token, place.
local record = webhook(ARGV[1])
if redis.call('HGET', record, 'token') ~= ARGV[2] then return end
redis.call('HDEL', record, 'failures', 'since', 'error', 'token')
redis.call('HSET', record, 'place', ARGV[3], 'delivered', now())
redis.call('ZADD', WEBHOOKS, now(), ARGV[1])
