-- How much of what is under way. ARGV: how many accepted jobs are looked at for the oldest.
local time = number(now())
local function since(microseconds)
  return string.format('%.3f', math.max(0, time - microseconds / 1000000))
end

local oldest
for _, job in ipairs(redis.call('ZRANGE', ACCEPTED, 0, ARGV[1] - 1)) do
  local submitted = number(redis.call('HGET', key('job', job), 'number'))
  if submitted > 0 and submitted < (oldest or submitted + 1) then oldest = submitted end
end
local unlooked = redis.call('ZRANGE', ACCEPTED, 0, 0, 'WITHSCORES')[2]
local first = redis.call('ZRANGE', PENDING, 0, 0)[1]
local pending_since = first and number(redis.call('HGET', key('image', first), 'number')) or 0
local meta = redis.call('HMGET', META, 'backlog', 'position')
return {
  redis.call('ZCARD', ACCEPTED),
  redis.call('ZCOUNT', ACCEPTED, '(' .. string.format('%.6f', time), '+inf'),
  oldest and since(oldest) or '0',
  unlooked and string.format('%.3f', math.max(0, time - unlooked)) or '0',
  redis.call('ZCARD', PENDING),
  pending_since > 0 and since(pending_since) or '0',
  redis.call('SCARD', ERASING),
  meta[1] or '0',
  redis.call('HLEN', POSITIONS),
  string.format('%.3f', number(redis.call('GET', BASE .. 'submissions')) / 1000000 - time),
}
