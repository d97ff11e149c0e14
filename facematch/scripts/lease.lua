-- Take, keep or give back a lease; of an edition that was given up, or is not there any more, there
-- is none. ARGV: its name, who asks, seconds (0: give it back).
if given_up() or redis.call('EXISTS', META) == 0 then return 0 end
local lease = key('lease', ARGV[1])
local holder = redis.call('GET', lease)
if holder and holder ~= ARGV[2] then return 0 end
local milliseconds = math.ceil(ARGV[3] * 1000)
if milliseconds > 0 then
  redis.call('SET', lease, ARGV[2], 'PX', milliseconds)
  return 1
end
redis.call('DEL', lease)
return 0
