-- Forget a webhook. ARGV: webhook. Returns whether there was one.
redis.call('DEL', webhook(ARGV[1]))
return redis.call('ZREM', WEBHOOKS, ARGV[1])
