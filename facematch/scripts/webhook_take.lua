-- A webhook that is due, and has not been told of all. ARGV: token, seconds that it is then in hand.
-- Writes nothing where there is none.
local last = redis.call('XREVRANGE', HAPPENED, '+', '-', 'COUNT', 1)[1]
local tail = last and last[1] or '0-0'
for _, id in ipairs(redis.call('ZRANGEBYSCORE', WEBHOOKS, '-inf', now())) do
  if redis.call('HGET', webhook(id), 'place') ~= tail then
    redis.call('HSET', webhook(id), 'token', ARGV[1])
    redis.call('ZADD', WEBHOOKS, string.format('%.6f', now() + ARGV[2]), id)
    return webhook_view(id)
  end
end
return false
