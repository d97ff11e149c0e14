-- A batch as its submitter sees it. ARGV: batch, number of the first item that is told, how many, ttl.
-- Returns {total, {state, count, …}, {number, state, job, image, code, name}, …}.
local record = BASE .. 'batch:' .. ARGV[1]
local total = redis.call('HGET', record, 'total')
if not total then return false end
local first, behind = number(ARGV[2]), ARGV[2] + ARGV[3]

local function view_of(kept)
  local code, name = string.match(kept, '^([a-z_]+) (.*)$')
  if code then return {'refused', '', '', code, name} end
  local view = job_view(kept)
  if not view then
    also_in_other(function() view = job_view(kept) end)
  end
  if not view then return {'forgotten', kept, '', '', ''} end
  return {view[1], kept, view[4] or '', view[6] or '', view[2] or ''}
end

local counts, told, unfinished = {}, {}, false
for item = 0, total - 1 do
  local view = view_of(redis.call('HGET', record, item))
  counts[view[1]] = (counts[view[1]] or 0) + 1
  unfinished = unfinished or view[1] == 'accepted' or view[1] == 'indexed'
  if item >= first and item < behind then told[#told + 1] = {item, unpack(view)} end
end
-- Its jobs are kept from their end on.
if unfinished then redis.call('EXPIRE', record, ARGV[4]) end
local flat = {}
for state, count in pairs(counts) do
  flat[#flat + 1] = state
  flat[#flat + 1] = count
end
return {tonumber(total), flat, unpack(told)}
