-- Write matches of images that were taken in, in both directions. ARGV: export, holder, milliseconds, for
-- each two positions and the score: 8 bytes each, little-endian. Returns {}, or what does not go.
local trouble = no_import(ARGV[1], ARGV[2], ARGV[3])
if trouble then return trouble end
local generation, at = served(), 1
local there = {}
local function alive(position)
  if there[position] == nil then
    there[position] = redis.call('HEXISTS', POSITIONS, position) == 1
  end
  return there[position]
end
while at <= #ARGV[4] do
  local one, other, score
  one, other, score, at = struct.unpack('<ddd', ARGV[4], at)
  one, other = string.format('%d', one), string.format('%d', other)
  if alive(one) and alive(other) then
    local told = string.format('%.17g', score)
    redis.call('ZADD', matches_of(generation, one), told, other)
    redis.call('ZADD', matches_of(generation, other), told, one)
  end
end
return {}
