-- The attempt that was counted when a job was begun was none. ARGV: job.
local record = key('job', ARGV[1])
local fields = redis.call('HMGET', record, 'state', 'attempts')
if fields[1] == 'accepted' and number(fields[2]) > 0 and not given_up() then
  redis.call('HINCRBY', record, 'attempts', -1)
end
