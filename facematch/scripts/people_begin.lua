-- Group all anew. ARGV: limit, generation, false pairs.
if given_up() then return 0 end
redis.call('HSET', PEOPLE, 'limit', ARGV[1], 'generation', ARGV[2], 'false_pairs', ARGV[3],
  'marking', 1)
return higher('revision')
