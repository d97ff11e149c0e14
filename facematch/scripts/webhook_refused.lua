-- A webhook has not taken what there was. ARGV: webhook, token, why, seconds of that after which it is
-- dead, the first and the longest pause.
local record = webhook(ARGV[1])
if redis.call('HGET', record, 'token') ~= ARGV[2] then return end
local failures = redis.call('HINCRBY', record, 'failures', 1)
redis.call('HSETNX', record, 'since', now())
redis.call('HSET', record, 'error', ARGV[3])
redis.call('HDEL', record, 'token')
if now() - redis.call('HGET', record, 'since') >= tonumber(ARGV[4]) then
  redis.call('HSET', record, 'dead', 1)
  redis.call('ZADD', WEBHOOKS, '+inf', ARGV[1])
  return
end
local pause = math.min(tonumber(ARGV[6]), tonumber(ARGV[5]) * 2 ^ math.min(failures - 1, 20))
redis.call('ZADD', WEBHOOKS, string.format('%.6f', now() + pause), ARGV[1])
