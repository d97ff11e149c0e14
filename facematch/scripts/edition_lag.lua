-- How far the editions are apart. ARGV: number of the other one, how many jobs are looked at.
-- Returns: jobs that were accepted before there was the other edition, and have not ended; jobs that
-- have ended here and not there; images there whose matches are not all written.
local _, other = editions()
if other ~= ARGV[1] then return false end
local there = prefix_of(other)
local function count(accepted, holds)
  local jobs = redis.call('ZRANGE', accepted, 0, ARGV[2] - 1)
  local found = redis.call('ZCARD', accepted) - #jobs
  for _, job in ipairs(jobs) do
    if holds(job) then found = found + 1 end
  end
  return found
end
local before = count(ACCEPTED, function(job)
  return redis.call('EXISTS', there .. 'job:' .. job) == 0
end)
local behind = count(there .. 'accepted', function(job)
  return redis.call('HGET', key('job', job), 'state') ~= 'accepted'
end)
return {before, behind, redis.call('ZCARD', there .. 'pending')}
