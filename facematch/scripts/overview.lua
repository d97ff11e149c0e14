-- How much of what is under way. ARGV: how many accepted jobs are looked at for the oldest.
local time = number(now())

local oldest = 0
for _, job in ipairs(redis.call('ZRANGE', ACCEPTED, 0, ARGV[1] - 1)) do
  oldest = math.max(oldest, age_of(key('job', job)))
end
local unlooked = redis.call('ZRANGE', ACCEPTED, 0, 0, 'WITHSCORES')[2]
local first = redis.call('ZRANGE', PENDING, 0, 0)[1]
local function seconds(number)
  return string.format('%.3f', number)
end
return {
  redis.call('ZCARD', ACCEPTED),
  redis.call('ZCOUNT', ACCEPTED, '(' .. string.format('%.6f', time), '+inf'),
  seconds(oldest),
  seconds(unlooked and math.max(0, time - unlooked) or 0),
  redis.call('ZCARD', PENDING),
  seconds(first and age_of(key('image', first)) or 0),
  redis.call('SCARD', ERASING),
  redis.call('HGET', META, 'backlog') or '0',
  redis.call('HLEN', POSITIONS),
  seconds(number(redis.call('GET', BASE .. 'submissions')) / 1000000 - time),
}
