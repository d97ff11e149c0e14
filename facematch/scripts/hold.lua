-- Jobs that a worker still has in hand. ARGV: seconds that they then count as in hand, jobs.
local till = now() + ARGV[1]
for i = 2, #ARGV do redis.call('ZADD', ACCEPTED, 'XX', till, ARGV[i]) end
