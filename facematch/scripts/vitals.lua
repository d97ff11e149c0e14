-- How much there is of what, and how old it is, in each edition, the one that is served first.
-- ARGV: how many jobs are looked at. Writes nothing.
local time = number(now())

-- How many seconds a job or image has waited; 0 for none.
local function age_of(record)
  local fields = redis.call('HMGET', record, 'number', 'since')
  local since = number(fields[2] or fields[1])
  return since > 0 and math.max(0, time - since / 1000000) or 0
end

-- The sweeper and who has one in hand move jobs towards the end.
local function oldest_job()
  local oldest = 0
  local function look(jobs)
    for _, job in ipairs(jobs) do oldest = math.max(oldest, age_of(key('job', job))) end
  end
  look(redis.call('ZRANGE', ACCEPTED, 0, ARGV[1] - 1))
  look(redis.call('ZRANGEBYSCORE', ACCEPTED, '(' .. now(), '+inf', 'LIMIT', 0, ARGV[1]))
  return string.format('%.6f', oldest)
end

local function left_lying()
  local looked_after = redis.call('ZRANGE', ACCEPTED, 0, 0, 'WITHSCORES')[2]
  return looked_after and string.format('%.6f', math.max(0, time - number(looked_after))) or '0'
end

local function oldest_pending()
  local image = redis.call('ZRANGE', PENDING, 0, 0)[1]
  return string.format('%.6f', image and age_of(key('image', image)) or 0)
end

local function view(edition)
  turn_to(prefix_of(edition))
  local meta = redis.call('HMGET', META, 'position', 'backlog')
  local reindex = redis.call('HMGET', REINDEX, 'phase', 'ranges')
  return {edition, redis.call('ZCARD', ACCEPTED),
    redis.call('ZCOUNT', ACCEPTED, '(' .. now(), '+inf'), oldest_job(), left_lying(),
    redis.call('HLEN', POSITIONS), redis.call('ZCARD', PENDING), oldest_pending(),
    number(meta[1]), redis.call('XLEN', LOG), redis.call('SCARD', ERASING), number(meta[2]),
    reindex[1], number(reindex[2]), redis.call('ZCARD', RANGES)}
end

local served, other = editions()
local views = {view(served)}
if other then views[2] = view(other) end
local checked = redis.call('HGETALL', BASE .. 'fsck')
local last = number(redis.call('GET', BASE .. 'submissions'))
return {views, checked, now(), string.format('%.6f', last / 1e6 - time),
  number(redis.call('HGET', UPLOADS, 'total'))}
