-- A page of people, those with most faces first, as of one instant. ARGV: limit, fewest faces, after so
-- many faces ('': from the start), after person. Returns {ungrouped, more, {id, name, faces}, …}.
local limit, after, person = number(ARGV[1]), ARGV[3], ARGV[4]
local page = {redis.call('ZCARD', MARKS), 0}
local start = 0
if after ~= '' then
  after = '-' .. after
  start = redis.call('ZCOUNT', LISTED, '-inf', '(' .. after)
  local rank = redis.call('ZRANK', LISTED, person)
  if rank and tonumber(redis.call('ZSCORE', LISTED, person)) == tonumber(after) then
    start = rank + 1
  else
    for _, other in ipairs(redis.call('ZRANGEBYSCORE', LISTED, after, after)) do
      if other <= person then start = start + 1 end
    end
  end
end
local stop = redis.call('ZCOUNT', LISTED, '-inf', '-' .. ARGV[2])
for _, id in ipairs(redis.call('ZRANGE', LISTED, start, math.min(start + limit, stop) - 1)) do
  page[#page + 1] = person_view(id)
end
if start + limit < stop then page[2] = 1 end
return page
