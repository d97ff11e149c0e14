-- Put before every script of this folder. KEYS[1] is the prefix of an edition of a collection, or
-- ends in ?, which stands for the edition that is served. Its hash tag keeps all keys of the
-- collection in one slot. Scripts have no rollback: each checks first, then writes.
local BASE = string.match(KEYS[1], '^fm:{[^}]*}:')
local EDITIONS, DROPPED_EDITIONS = BASE .. 'editions', BASE .. 'editions:dropped'

-- Data that a newer version has changed is left alone: facematch/redis_connection.py knows the word.
local schema = tonumber(redis.call('HGET', EDITIONS, 'schema') or '0')
if schema > SCHEMA then return redis.error_reply('NEWERDATA ' .. schema .. ' ' .. SCHEMA) end

local prefix, META, LOG, POSITIONS, PENDING, ACCEPTED, FAILED, ERASING, REINDEX, RANGES, LINKING, DROPPED

local function key(...)
  return prefix .. table.concat({...}, ':')
end

-- Which edition the rest is about.
local function turn_to(its_prefix)
  prefix = its_prefix
  META, LOG, POSITIONS = key('meta'), key('log'), key('positions')
  PENDING, ACCEPTED, ERASING = key('pending'), key('accepted'), key('erasing')
  FAILED = key('failed')
  REINDEX, RANGES = key('reindex'), key('reindex', 'ranges')
  LINKING, DROPPED = key('reindex', 'linking'), key('dropped')
end

local function prefix_of(edition)
  return edition == '0' and BASE or BASE .. '~' .. edition .. ':'
end

-- The numbers of the edition that is served and of the other one, false when there is none.
local function editions()
  local there = redis.call('HMGET', EDITIONS, 'served', 'other')
  return there[1] or '0', there[2]
end

local FOR_SERVED = string.sub(KEYS[1], -1) == '?'
turn_to(FOR_SERVED and prefix_of((editions())) or KEYS[1])

-- What is done in the edition that is served, done in the other one too.
local function also_in_other(act)
  local _, other = editions()
  if not FOR_SERVED or not other then return end
  local here = prefix
  turn_to(prefix_of(other))
  act()
  turn_to(here)
end

-- Of an edition that was given up nothing is made any more while it is being forgotten.
local function given_up()
  local edition = string.match(prefix, '~(%d+):$') or '0'
  return redis.call('SISMEMBER', DROPPED_EDITIONS, edition) == 1
end

local function now()
  local time = redis.call('TIME')
  return string.format('%d.%06d', time[1], time[2])
end

local function tell(kind, id)
  redis.call('PUBLISH', BASE .. 'events', kind .. ':' .. id)
end

local function number(text)
  return tonumber(text or '0') or 0
end

-- Numbers of submissions and erasures, in one order for all editions. They are microseconds, at
-- least, so that a store which lost its tail does not give out a number again.
local function next_number()
  local time = redis.call('TIME')
  local last = number(redis.call('GET', BASE .. 'submissions'))
  -- Processes of versions before schema 1, which have it elsewhere, may still run.
  if schema < 1 then last = math.max(last, number(redis.call('HGET', BASE .. 'meta', 'submissions'))) end
  local new = string.format('%d', math.max(last + 1, time[1] * 1000000 + time[2]))
  redis.call('SET', BASE .. 'submissions', new)
  if schema < 1 then redis.call('HSET', BASE .. 'meta', 'submissions', new) end
  return new
end

-- An image's faces have been looked for: it is in the log, or has none.
local function known(state)
  return state == 'indexed' or state == 'done'
end

-- The next entry of the log; facematch/log.py computes the same chain.
local function append(op, image, nonce, target, keep)
  local meta = redis.call('HMGET', META, 'position', 'chain')
  local position = string.format('%d', number(meta[1]) + 1)
  local chain = redis.sha1hex(meta[2] .. '|' .. position .. '|' .. op .. '|' .. image .. '|' .. nonce)
  local first = string.format('%d-0', math.max(0, number(position) - number(keep)))
  redis.call('XADD', LOG, 'MINID', '~', first, position .. '-0',
    'op', op, 'image', image, 'nonce', nonce, 'target', target or position, 'chain', chain)
  redis.call('HSET', META, 'position', position, 'chain', chain)
  return position
end

-- The chain at a position, false when the log does not hold it.
local function chain_at(position)
  local meta = redis.call('HMGET', META, 'position', 'chain', 'epoch')
  if number(position) == number(meta[1]) then return meta[2] end
  if number(position) == 0 then return redis.sha1hex(meta[3]) end
  local entry = redis.call('XRANGE', LOG, position .. '-0', position .. '-0')[1]
  if not entry then return false end
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'chain' then return entry[2][i + 1] end
  end
end

-- The name of what there is of each generation of match sets.
local function of(generation, name)
  return generation == '0' and name or name .. '.' .. generation
end

local function matches_of(generation, position)
  return key(of(generation, 'matches'), position)
end

-- The generations that are written; the one that is served.
local function generations()
  local numbers = {}
  local text = redis.call('HGET', META, 'generations') or '0'
  for generation in string.gmatch(text, '%d+') do numbers[#numbers + 1] = generation end
  return numbers
end

local function served()
  return redis.call('HGET', META, 'generation') or '0'
end

local function threshold_of(generation)
  return tonumber(redis.call('HGET', META, of(generation, 'threshold')))
end

-- From this position on, matches may be missing in this generation.
local function approximate_from(generation, position)
  local field = of(generation, 'approximate_since')
  local since = redis.call('HGET', META, field)
  if not since or number(position) < number(since) then
    redis.call('HSET', META, field, position)
  end
end

-- Bring the data to the schema of this version: see facematch/redis_schema.py for the steps.
local function migrate()
  if schema < 1 then
    local first = BASE .. 'meta'
    local last = math.max(number(redis.call('GET', BASE .. 'submissions')),
      number(redis.call('HGET', first, 'submissions')))
    redis.call('SET', BASE .. 'submissions', string.format('%d', last))
    redis.call('HDEL', first, 'submissions')
  end
  redis.call('HSET', EDITIONS, 'schema', SCHEMA)
  schema = SCHEMA
end

local function create_edition(epoch, model, threshold)
  redis.call('HSET', META, 'epoch', epoch, 'model', model, 'threshold', threshold,
    'position', 0, 'chain', redis.sha1hex(epoch))
end

local function collection_view()
  local view = redis.call('HMGET', META, 'epoch', 'model', 'position', 'chain')
  if not view[1] then return false end
  local function add(generation)
    view[#view + 1] = {generation, unpack(redis.call('HMGET', META,
      of(generation, 'threshold'), of(generation, 'approximate_since'),
      of(generation, 'building_to')))}
  end
  local first = served()
  add(first)
  for _, generation in ipairs(generations()) do
    if generation ~= first then add(generation) end
  end
  return view
end

local function reindex_view()
  local view = redis.call('HMGET', REINDEX, 'id', 'phase', 'generation', 'former', 'base', 'span',
    'ranges', 'share', 'begun')
  if not view[1] then return false end
  view[#view + 1] = redis.call('ZCARD', RANGES)
  view[#view + 1] = redis.call('HGET', META, of(view[3], 'threshold'))
  view[#view + 1] = redis.call('HGET', META, of(view[4], 'threshold'))
  return view
end

-- Whether the later edition is built; the one that is served and the other one, if there is one, each
-- with its model, threshold and the settings of its workers.
local function editions_view()
  local view = {}
  local function add(edition)
    local meta = prefix_of(edition) .. 'meta'
    local its_own = redis.call('HGET', meta, 'generation') or '0'
    local about = redis.call('HMGET', meta, 'model', of(its_own, 'threshold'))
    local settings = redis.call('HMGET', EDITIONS, 'encoder.' .. edition, 'detector.' .. edition)
    view[#view + 1] = {edition, about[1], about[2], settings[1], settings[2]}
  end
  local served, other = editions()
  add(served)
  if other then add(other) end
  return {redis.call('HGET', EDITIONS, 'built'), view}
end

local function drop_upload(image)
  local blob = key('blob', image)
  local size = redis.call('STRLEN', blob)
  if size > 0 then
    redis.call('DEL', blob)
    redis.call('HINCRBY', META, 'backlog', -size)
  end
end

-- End a job's own story; from "committed" on its state is that of its image.
local function settle(job, state, ttl)
  redis.call('HSET', key('job', job), 'state', state)
  redis.call('EXPIRE', key('job', job), ttl)
  redis.call('ZREM', ACCEPTED, job)
  tell('job', job)
end

local function erased_since(job_number, erased_at)
  return erased_at and number(erased_at) >= number(job_number)
end

local PAST_AT_ONCE = 100

-- Jobs that failed with a code, by when they are forgotten; the codes, by when the last job is.
-- What a longer ttl has kept in them is kept.
local function list_failed(job, code, ttl)
  local with_code, forgotten = key('failed', code), string.format('%.6f', now() + ttl)
  for member, list in pairs({[job] = with_code, [code] = FAILED}) do
    -- More than come in, and no more: a million at once take most of a second.
    local past = redis.call('ZRANGEBYSCORE', list, '-inf', now(), 'LIMIT', 0, PAST_AT_ONCE)
    if #past > 0 then redis.call('ZREM', list, unpack(past)) end
    redis.call('ZADD', list, 'GT', forgotten, member)
    if redis.call('TTL', list) < number(ttl) then redis.call('EXPIRE', list, ttl) end
  end
end

-- An accepted job ends as failed, and with it an image that waits for it; but not one whose bytes
-- were uploaded, if the job is by URL.
local function fail_job(job, code, detail, image, ttl)
  local job_record = key('job', job)
  if redis.call('HGET', job_record, 'image') == '' and image ~= '' then
    redis.call('HSET', job_record, 'found', 1)
  end
  redis.call('HSET', job_record, 'code', code, 'detail', detail, 'image', image,
    'failed_at', now())
  settle(job, 'failed', ttl)
  list_failed(job, code, ttl)
  local record = key('image', image)
  local has_bytes = redis.call('EXISTS', key('blob', image)) == 1
  if has_bytes and redis.call('HGET', key('job', job), 'url') ~= '' then return end
  if redis.call('HGET', record, 'state') == 'accepted' then
    redis.call('HSET', record, 'state', 'failed', 'code', code)
    drop_upload(image)
    tell('image', image)
  end
end

-- An image is waited for: it begins a life unless it has one.
local function expect(image, nonce, job_number)
  local record = key('image', image)
  local state = redis.call('HGET', record, 'state')
  if not state or state == 'failed' or state == 'erased' then
    redis.call('HSET', record, 'state', 'accepted', 'nonce', nonce, 'number', job_number)
    redis.call('HDEL', record, 'code', 'position', 'since')
  end
end

local function job_view(job)
  local fields = redis.call('HMGET', key('job', job),
    'state', 'name', 'url', 'image', 'attempts', 'code', 'detail', 'number', 'since')
  if not fields[1] then return false end
  local since = fields[9]
  fields[9] = false
  if fields[1] == 'committed' then
    local image = redis.call('HMGET', key('image', fields[4]), 'state', 'erased_at', 'faces_found')
    fields[1] = image[1]
    if erased_since(fields[8], image[2]) then fields[1] = 'erased' end
    if known(fields[1]) then fields[9] = image[3] end
  end
  fields[8] = since or fields[8]
  return fields
end
