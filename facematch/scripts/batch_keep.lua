-- Keep a batch. ARGV: batch, ttl, and for each item its job, or its code and name.
local record = BASE .. 'batch:' .. ARGV[1]
for i = 3, #ARGV do redis.call('HSET', record, i - 3, ARGV[i]) end
redis.call('HSET', record, 'total', #ARGV - 2)
redis.call('EXPIRE', record, ARGV[2])
