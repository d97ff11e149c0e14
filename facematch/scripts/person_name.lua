-- Name a person. ARGV: person, name ('': none). Returns the person.
if not redis.call('ZSCORE', LISTED, ARGV[1]) then return false end
if ARGV[2] == '' then
  redis.call('HDEL', PERSON_NAMES, ARGV[1])
else
  redis.call('HSET', PERSON_NAMES, ARGV[1], ARGV[2])
end
higher('revision')
return person_view(ARGV[1])
