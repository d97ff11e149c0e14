-- Group all anew. ARGV: limit, reach, generation, false pairs.
if given_up() then return 0 end
redis.call('HSET', PEOPLE, 'limit', ARGV[1], 'reach', ARGV[2], 'generation', ARGV[3],
  'false_pairs', ARGV[4], 'marking', 1)
return higher('revision')
