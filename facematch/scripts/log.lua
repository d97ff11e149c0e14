-- The log behind a position, as of one instant. ARGV: position, limit.
local meta = redis.call('HMGET', META, 'position', 'chain')
if not meta[1] then return false end
local entries = {}
if number(ARGV[2]) > 0 then
  entries = redis.call('XRANGE', LOG, '(' .. ARGV[1] .. '-0', '+', 'COUNT', ARGV[2])
end
return {chain_at(ARGV[1]), meta[1], meta[2], entries}
