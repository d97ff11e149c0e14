-- Take an erased image out of a chunk of its peers. ARGV: position, chunk. Returns what is left.
-- A position of another edition may be a live image here.
if redis.call('SISMEMBER', ERASING, ARGV[1]) == 0 then return 1 end
local first = served()
for _, generation in ipairs(generations()) do
  local own = matches_of(generation, ARGV[1])
  local others = redis.call('ZRANGE', own, 0, ARGV[2] - 1)
  for _, other in ipairs(others) do
    redis.call('ZREM', matches_of(generation, other), ARGV[1])
    redis.call('ZREM', own, other)
    if generation == first then mark(other) end
  end
  if #others > 0 then return 0 end
  redis.call('HDEL', key(of(generation, 'limits')), ARGV[1])
end
redis.call('SREM', ERASING, ARGV[1])
return 1
