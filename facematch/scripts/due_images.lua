-- The same for indexed images, lowest positions first. ARGV: age, limit, how many to look at.
local time = now()
local due = {}
for _, image in ipairs(redis.call('ZRANGE', PENDING, 0, ARGV[3] - 1)) do
  if #due >= number(ARGV[2]) then break end
  local since = number(redis.call('HGET', key('image', image), 'due'))
  if since <= time - ARGV[1] or since > time + CLOCK_AHEAD then
    redis.call('HSET', key('image', image), 'due', time)
    due[#due + 1] = image
  end
end
return due
