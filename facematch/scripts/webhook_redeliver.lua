-- Try a webhook at once. ARGV: webhook, place ('': where it is). Returns it, in a list of none or one.
local id = ARGV[1]
if not redis.call('ZSCORE', WEBHOOKS, id) then return {} end
redis.call('HDEL', webhook(id), 'failures', 'since', 'error', 'dead', 'token')
if ARGV[2] ~= '' then redis.call('HSET', webhook(id), 'place', ARGV[2]) end
redis.call('ZADD', WEBHOOKS, now(), id)
return {webhook_view(id)}
