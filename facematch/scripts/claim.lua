-- Let a key stand for a submission. ARGV: key, fingerprint, name of what it becomes, seconds.
-- Returns the name that it stands for, false if it stands for another submission.
local record = BASE .. 'claim:' .. ARGV[1]
redis.call('SET', record, ARGV[2] .. ' ' .. ARGV[3], 'NX', 'EX', ARGV[4])
local fingerprint, name = string.match(redis.call('GET', record), '^(%S+) (%S+)$')
return fingerprint == ARGV[2] and name
