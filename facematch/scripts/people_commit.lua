-- Write what a look at some marks has come to. ARGV: revision, how many faces are placed, how many
-- marks were looked at, then face, person, …, position, mark, …, number of a correction, text ('': none), ….
-- Returns the revision from now on, false when the one given is no longer that.
if given_up() or number(redis.call('HGET', PEOPLE, 'revision')) ~= tonumber(ARGV[1]) then
  return false
end
local last = 3 + 2 * ARGV[2]
for i = 4, last, 2 do
  local face, person = ARGV[i], ARGV[i + 1]
  local alive = redis.call('HEXISTS', POSITIONS, position_of(face)) == 1
  place(face, alive and person or '')
end
local marks = last + 2 * ARGV[3]
for i = last + 1, marks, 2 do
  local its_number = redis.call('ZSCORE', MARKS, ARGV[i])
  if number(its_number) == tonumber(ARGV[i + 1]) then redis.call('ZREM', MARKS, ARGV[i]) end
end
if marks < #ARGV then higher('revision') end
for i = marks + 1, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', SAID, ARGV[i])
  else
    redis.call('HSET', SAID, ARGV[i], ARGV[i + 1])
  end
end
return redis.call('HGET', PEOPLE, 'revision') or '0'
