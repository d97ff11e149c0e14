-- Put before every script of this folder. KEYS[1] is the prefix of an edition of a collection, or
-- ends in ?, which stands for the edition that is served. Its hash tag keeps all keys of the
-- collection in one slot. Scripts have no rollback: each checks first, then writes.
local BASE = string.match(KEYS[1], '^fm:{[^}]*}:')
local EDITIONS, DROPPED_EDITIONS = BASE .. 'editions', BASE .. 'editions:dropped'
local HAPPENED, WEBHOOKS = BASE .. 'happened', BASE .. 'webhooks'
-- The one key here that is of all collections: facematch/redis_collections.py.
local UPLOADS = 'fm:uploads'

-- Data that a newer version has changed is left alone: facematch/redis_connection.py knows the word.
local about = redis.call('HMGET', EDITIONS, 'schema', 'created', 'dropping')
local schema, CREATED, ERASED_UPTO = tonumber(about[1] or '0'), about[2], about[3]
if schema > SCHEMA then return redis.error_reply('NEWERDATA ' .. schema .. ' ' .. SCHEMA) end

-- So is what is being erased, or was never made: at that very instant nothing of it is told, and
-- nothing is made. The default collection is there for whoever comes first, and again when emptied.
local IS_DEFAULT = BASE == 'fm:{default}:'
if not FOR_ANY then
  if ERASED_UPTO and IS_DEFAULT then return redis.error_reply('ERASING') end
  if ERASED_UPTO or not (CREATED or IS_DEFAULT) then return redis.error_reply('NOCOLLECTION') end
end

local prefix, META, LOG, POSITIONS, PENDING, ACCEPTED, FAILED, ERASING, REINDEX, RANGES, LINKING, DROPPED
local PEOPLE, MARKS, PERSON_OF, LISTED, PERSON_NAMES, SAID

-- Many times in a script: no table is made for it.
local function key(name, of)
  return of and prefix .. name .. ':' .. of or prefix .. name
end

-- Which edition the rest is about.
local function turn_to(its_prefix)
  prefix = its_prefix
  META, LOG, POSITIONS = key('meta'), key('log'), key('positions')
  PENDING, ACCEPTED, ERASING = key('pending'), key('accepted'), key('erasing')
  FAILED = key('failed')
  REINDEX, RANGES = key('reindex'), key('reindex', 'ranges')
  LINKING, DROPPED = key('reindex', 'linking'), key('dropped')
  PEOPLE, MARKS, PERSON_OF = key('people'), key('people', 'marks'), key('people', 'of')
  LISTED, PERSON_NAMES, SAID = key('people', 'list'), key('people', 'names'), key('people', 'said')
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

-- What whoever listens is to hear, told of the edition that is served: see facematch/events.py.
-- `more`: the code of what failed; of what is linked, the position.
local function happened(kind, image, job, more)
  if prefix ~= prefix_of((editions())) then return end
  redis.call('XADD', HAPPENED, 'MAXLEN', '~', EVENTS_KEPT, '*', 'kind', kind, 'image', image,
    'job', job, 'about', more or '')
end

-- Seconds ahead of now for which nobody says that he looks after something: what is said to be looked
-- after for longer was so by a clock that has been set back since, or by that of another server.
local CLOCK_AHEAD = 300

-- The members of a sorted set that nobody looked after for so long; from now on somebody does.
local function due_of(set, age, limit)
  local time = now()
  local due = redis.call('ZRANGEBYSCORE', set, '-inf', time - age, 'LIMIT', 0, limit)
  local ahead = redis.call('ZRANGEBYSCORE', set, time + CLOCK_AHEAD, '+inf', 'LIMIT', 0, limit - #due)
  for _, one in ipairs(ahead) do due[#due + 1] = one end
  for _, one in ipairs(due) do redis.call('ZADD', set, time, one) end
  return due
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

-- An image as a reader sees it: its fields and names; false for none.
local function image_view(image)
  local fields = redis.call('HMGET', key('image', image), 'state', 'position', 'nonce', 'model',
    'boxes', 'width', 'height', 'faces_found', 'code')
  return fields[1] and {fields, redis.call('SMEMBERS', key('names', image))}
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

-- The number that a match has: see facematch/match_scores.py, which has the same.
local UNRATED, DISTANCES = 16000, 2097152

local function score_of(distance, code)
  return code * DISTANCES + math.min(math.floor(distance * 1e6), DISTANCES - 1)
end

local function most_code(max_false, size)
  if not max_false then return UNRATED end
  local logs = math.log10(max_false / math.max(size, 1))
  return math.max(-1, math.min(math.floor(1000 * (16 + logs) + 1e-6), UNRATED))
end

-- Which matches a generation takes.
local function policy_of(generation)
  local told = redis.call('HMGET', META, of(generation, 'threshold'), of(generation, 'scored'),
    of(generation, 'max_false_matches'), of(generation, 'max_matches'))
  return {threshold = tonumber(told[1]), scored = told[2],
    max_false = told[3] and tonumber(told[3]), max_matches = told[4] and tonumber(told[4])}
end

-- New match sets of the generation are of this policy. What is '' is no bound.
local function set_policy(generation, threshold, max_false, max_matches)
  redis.call('HSET', META, of(generation, 'threshold'), threshold)
  if schema < 2 then return end
  redis.call('HSET', META, of(generation, 'scored'), 1)
  if max_false ~= '' then
    redis.call('HSET', META, of(generation, 'max_false_matches'), max_false)
  end
  if max_matches ~= '' then
    redis.call('HSET', META, of(generation, 'max_matches'), max_matches)
  end
end

local function forget_policy(generation)
  for _, name in ipairs({'threshold', 'scored', 'max_false_matches', 'max_matches',
      'approximate_since', 'building_to'}) do
    redis.call('HDEL', META, of(generation, name))
  end
end

-- The highest code of matches that an image at this position brings.
local function codes_to(policy, position)
  if not (policy.scored and policy.max_false) then return UNRATED end
  local faces = key('faces', position)
  local size
  if redis.call('STRLEN', faces) % 512 == 0 then
    size = number(redis.call('HGET', META, 'size'))
  else
    size = struct.unpack('<I8', redis.call('GETRANGE', faces, -9, -2))
  end
  return most_code(policy.max_false, size)
end

-- Whether what was found lacks the rates that a generation is to have.
local function unrated(policy, calibration)
  local pinned = redis.call('HGET', META, 'calibration') or ''
  return policy.scored and pinned ~= '' and pinned ~= calibration
end

-- A number of people that rises: as in next_number, none is given out again. A script may need
-- thousands of them.
local risen = {}
local function higher(field)
  if risen[PEOPLE .. field] then
    return string.format('%d', redis.call('HINCRBY', PEOPLE, field, 1))
  end
  risen[PEOPLE .. field] = true
  local time = redis.call('TIME')
  local last = number(redis.call('HGET', PEOPLE, field))
  local new = string.format('%d', math.max(last + 1, time[1] * 1000000 + time[2]))
  redis.call('HSET', PEOPLE, field, new)
  return new
end

-- Whether faces of the edition are grouped: where there are rates. By prefix, once known.
local grouped = {}
local function is_grouped()
  if grouped[prefix] == nil then
    local calibration = schema >= 2 and redis.call('HGET', META, 'calibration') or ''
    grouped[prefix] = calibration ~= ''
  end
  return grouped[prefix]
end

-- An image is to be grouped anew. The mark is taken away by who has looked at it since.
local function mark(position)
  if is_grouped() then redis.call('ZADD', MARKS, higher('mark'), position) end
end

-- The least certain match of an image goes, from both images: from now on it takes better ones only.
local function leave_out_last(generation, position, limits)
  local last = redis.call('ZRANGE', matches_of(generation, position), -1, -1, 'WITHSCORES')
  redis.call('ZREM', matches_of(generation, position), last[1])
  redis.call('ZREM', matches_of(generation, last[1]), position)
  redis.call('HSET', limits, position, last[2])
  redis.call('HSETNX', limits, last[1], '')
  if generation == served() then
    mark(position)
    mark(last[1])
  end
end

-- Write matches of the image at a position, in both directions: other, distance, code, each as a number.
local function write_matches(generation, policy, position, found)
  local sets = matches_of(generation, '')
  local limits, most = key(of(generation, 'limits')), policy.max_matches
  local limited = most and redis.call('EXISTS', limits) == 1
  local highest = codes_to(policy, position)
  local own, others = {}, {}
  for i = 1, #found, 3 do
    local other, distance, code = string.format('%d', found[i]), found[i + 1], found[i + 2]
    local taken = distance <= policy.threshold and (not policy.scored or code <= highest)
    local score = policy.scored and score_of(distance, code) or distance
    if taken and limited then
      local told = redis.call('HMGET', limits, position, other)
      taken = score < (tonumber(told[1] or '') or math.huge)
        and score < (tonumber(told[2] or '') or math.huge)
      if not taken then
        redis.call('HSETNX', limits, position, '')
        redis.call('HSETNX', limits, other, '')
      end
    end
    if taken then
      own[#own + 1], own[#own + 2] = score, other
      others[#others + 1] = other
    end
  end
  if #others == 0 then return end
  redis.call('ZADD', sets .. position, unpack(own))
  -- What it has no room for goes before it is in the others' sets, where better ones may be.
  local surplus = most and redis.call('ZCARD', sets .. position) - most or 0
  for _ = 1, surplus do leave_out_last(generation, position, limits) end
  for i, other in ipairs(others) do
    if surplus <= 0 or redis.call('ZSCORE', sets .. position, other) then
      redis.call('ZADD', sets .. other, own[2 * i - 1], position)
      if most and redis.call('ZCARD', sets .. other) > most then
        leave_out_last(generation, other, limits)
      end
    end
  end
end

local function face_of(position, its_number)
  return string.format('%d', position * FACES_PER_POSITION + its_number)
end

local function position_of(face)
  return string.format('%d', math.floor(face / FACES_PER_POSITION))
end

-- Let a face be of this person, or of none (''). A person without faces is none, and has no name.
local function place(face, person)
  local before = redis.call('HGET', PERSON_OF, face) or ''
  if before == person then return end
  higher('revision')
  if before ~= '' then
    redis.call('ZREM', key('person', before), face)
    if tonumber(redis.call('ZINCRBY', LISTED, 1, before)) >= 0 then
      redis.call('ZREM', LISTED, before)
      redis.call('HDEL', PERSON_NAMES, before)
    end
  end
  if person == '' then
    redis.call('HDEL', PERSON_OF, face)
    return
  end
  redis.call('HSET', PERSON_OF, face, person)
  redis.call('ZADD', key('person', person), face, face)
  redis.call('ZINCRBY', LISTED, -1, person)
end

-- What is said of faces from now on, and they are to be grouped anew: see facematch/redis_people.py.
local function say(text, ...)
  higher('revision')
  redis.call('HSET', SAID, higher('said'), text)
  for _, faces in ipairs({...}) do
    for _, face in ipairs(faces) do mark(position_of(face)) end
  end
end

local function person_view(person)
  local listed = redis.call('ZSCORE', LISTED, person)
  if not listed then return false end
  return {person, redis.call('HGET', PERSON_NAMES, person), -tonumber(listed)}
end

-- From this position on, matches may be missing in this generation.
local function approximate_from(generation, position)
  local field = of(generation, 'approximate_since')
  local since = redis.call('HGET', META, field)
  if not since or number(position) < number(since) then
    redis.call('HSET', META, field, position)
  end
end

-- How many faces a value of so many bytes has: see facematch/stored_faces.py.
local function face_count(length)
  if length % 512 == 0 then return length / 512 end
  return (length - 9) / 520
end

local function with_norms(encodings, norms, size)
  return encodings .. norms .. struct.pack('<I8B', size, 1)
end

-- Count the faces of an edition that are there. Those erased before are not known any more.
local function count_faces()
  local cursor, count = '0', 0
  repeat
    local told = redis.call('HSCAN', POSITIONS, cursor, 'COUNT', 1000)
    cursor = told[1]
    for i = 1, #told[2], 2 do
      count = count + face_count(redis.call('STRLEN', key('faces', told[2][i])))
    end
  until cursor == '0'
  redis.call('HSET', META, 'size', count, 'live_faces', count)
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
  if schema < 2 then
    local here, served, other = prefix, editions()
    for _, edition in ipairs({served, other or nil}) do
      turn_to(prefix_of(edition))
      if redis.call('EXISTS', META) == 1 then count_faces() end
    end
    turn_to(here)
  end
  redis.call('HSET', EDITIONS, 'schema', SCHEMA)
  schema = SCHEMA
end

local function create_edition(epoch, model, ...)
  redis.call('HSET', META, 'epoch', epoch, 'model', model, 'position', 0,
    'chain', redis.sha1hex(epoch))
  set_policy('0', ...)
  if schema >= 2 then redis.call('HSET', META, 'size', 0, 'live_faces', 0) end
end

local function collection_view()
  local view = redis.call('HMGET', META, 'epoch', 'model', 'position', 'chain', 'calibration',
    'size', 'live_faces')
  if not view[1] then return false end
  local function add(generation)
    view[#view + 1] = {generation, unpack(redis.call('HMGET', META,
      of(generation, 'threshold'), of(generation, 'approximate_since'),
      of(generation, 'building_to'), of(generation, 'scored'),
      of(generation, 'max_false_matches'), of(generation, 'max_matches')))}
  end
  local first = served()
  add(first)
  for _, generation in ipairs(generations()) do
    if generation ~= first then add(generation) end
  end
  return view
end

-- The same with what is in it: images with faces, those whose matches are not all written, jobs
-- that have not ended, and the number it was made with.
local function collection_about()
  local view = collection_view()
  return view and {view, redis.call('HLEN', POSITIONS), redis.call('ZCARD', PENDING),
    redis.call('ZCARD', ACCEPTED), CREATED or redis.call('HGET', EDITIONS, 'created') or '0'}
end

local function reindex_view()
  local view = redis.call('HMGET', REINDEX, 'id', 'phase', 'generation', 'former', 'base', 'span',
    'ranges', 'share', 'begun')
  if not view[1] then return false end
  view[#view + 1] = redis.call('ZCARD', RANGES)
  view[#view + 1] = redis.call('HGET', META, of(view[3], 'threshold'))
  view[#view + 1] = redis.call('HGET', META, of(view[4], 'threshold'))
  for _, generation in ipairs({view[3], view[4]}) do
    for _, name in ipairs({'max_false_matches', 'max_matches'}) do
      view[#view + 1] = redis.call('HGET', META, of(generation, name))
    end
  end
  return view
end

-- Whether the later edition is built; the one that is served and the other one, if there is one, each
-- with its model, threshold and the settings of its workers.
local function editions_view()
  local view = {}
  local function add(edition)
    local meta = prefix_of(edition) .. 'meta'
    local its_own = redis.call('HGET', meta, 'generation') or '0'
    local about = redis.call('HMGET', meta, 'model', of(its_own, 'threshold'),
      of(its_own, 'scored'), of(its_own, 'max_false_matches'), of(its_own, 'max_matches'))
    local settings = redis.call('HMGET', EDITIONS, 'encoder.' .. edition, 'detector.' .. edition)
    view[#view + 1] = {edition, about[1], about[2], settings[1], settings[2], about[3], about[4],
      about[5]}
  end
  local served, other = editions()
  add(served)
  if other then add(other) end
  return {redis.call('HGET', EDITIONS, 'built'), view}
end

-- How many uploaded bytes wait in this collection, for all to be counted together. That is set, not
-- added to: so what a process of an older version has left out comes right with the next change.
local function tell_uploads(bytes)
  local more = bytes - number(redis.call('HGET', UPLOADS, BASE))
  if more == 0 then return end
  if redis.call('HINCRBY', UPLOADS, 'total', more) == 0 then
    redis.call('DEL', UPLOADS)
  elseif bytes == 0 then
    redis.call('HDEL', UPLOADS, BASE)
  else
    redis.call('HSET', UPLOADS, BASE, bytes)
  end
end

-- Those of the edition that is served. The other one has its own limit: for what it has no room, it
-- fails and nobody waits.
local function count_uploads()
  if prefix == prefix_of((editions())) then
    tell_uploads(number(redis.call('HGET', META, 'backlog')))
  end
end

local function has_room(bytes, most)
  local waiting = number(redis.call('HGET', META, 'backlog'))
  if prefix == prefix_of((editions())) then
    local counted = redis.call('HMGET', UPLOADS, 'total', BASE)
    waiting = waiting + number(counted[1]) - number(counted[2])
  end
  return waiting + bytes <= number(most)
end

local function keep_upload(image, data)
  redis.call('SET', key('blob', image), data)
  redis.call('HINCRBY', META, 'backlog', #data)
  count_uploads()
end

local function drop_upload(image)
  local blob = key('blob', image)
  local size = redis.call('STRLEN', blob)
  if size > 0 then
    redis.call('DEL', blob)
    redis.call('HINCRBY', META, 'backlog', -size)
    count_uploads()
  end
end

-- Jobs of one image that are told of when it is done; of more than so many none is.
local MOST_TOLD = 1000

-- Why an image was submitted, in whichever edition.
local function bases_of(image) return BASE .. 'bases:' .. image end

-- End a job's own story; from "committed" on its state is that of its image.
local function settle(job, state, ttl, image)
  local before = redis.call('HMGET', key('job', job), 'state', 'code')
  redis.call('HSET', key('job', job), 'state', state)
  redis.call('EXPIRE', key('job', job), ttl)
  redis.call('ZREM', ACCEPTED, job)
  tell('job', job)
  if before[1] == state then return end
  -- With the image it goes when that is erased; a job that failed may be tried again.
  local basis = state ~= 'failed' and redis.call('HGET', key('job', job), 'basis')
  if basis then
    if state == 'committed' then redis.call('SADD', bases_of(image), basis) end
    redis.call('HDEL', key('job', job), 'basis')
  end
  if state ~= 'committed' then
    happened(state, image or '', job, before[2])
  elseif redis.call('HGET', key('image', image), 'state') == 'done' then
    happened('done', image, job)
  elseif redis.call('SCARD', key('jobs', image)) < MOST_TOLD then
    redis.call('SADD', key('jobs', image), job)
  end
end

local function erased_since(job_number, erased_at)
  return erased_at and number(erased_at) >= number(job_number)
end

-- What keeps an import from going on, false for nothing; it then keeps others from committing for so
-- many milliseconds more.
local function no_import(export, holder, milliseconds)
  if given_up() or not export or redis.call('HGET', META, 'import') ~= export then
    return 'no_collection'
  end
  local _, other = editions()
  if other or #generations() > 1 then return 'reindex_exists' end
  local lease = key('lease', 'import')
  local holds = redis.call('GET', lease)
  if holds and holds ~= holder then return 'overtaken' end
  local reached = redis.call('HMGET', META, 'position', 'import_to')
  if reached[1] ~= reached[2] then return 'overtaken' end
  redis.call('SET', lease, holder, 'PX', milliseconds)
  return false
end

-- The next position of an import is no image's.
local function nothing_at_next(keep)
  redis.call('HSET', META, 'import_to', append('del', '', '', '0', keep))
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
  settle(job, 'failed', ttl, image)
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

local function webhook(id)
  return BASE .. 'webhook:' .. id
end

local function webhook_view(id)
  return {id, unpack(redis.call('HMGET', webhook(id), 'url', 'secret', 'place', 'created',
    'delivered', 'failures', 'since', 'error', 'dead'))}
end
