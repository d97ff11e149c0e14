-- End an accepted job as failed. ARGV: job, code, detail, image, ttl.
local job, code, detail, image, ttl = unpack(ARGV)
local fields = redis.call('HMGET', key('job', job), 'state', 'image')
if fields[1] == 'accepted' and not given_up() then
  fail_job(job, code, detail, image ~= '' and image or fields[2], ttl)
end
