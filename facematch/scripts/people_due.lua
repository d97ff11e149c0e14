-- What is to be grouped anew. ARGV: how many marks.
-- Returns {revision, marking, images, false pairs, limit, generation, {position, mark, …}}.
local about = redis.call('HMGET', PEOPLE, 'revision', 'marking', 'false_pairs', 'limit',
  'generation')
return {about[1] or '0', number(about[2]), redis.call('HLEN', POSITIONS), about[3], about[4],
  about[5], redis.call('ZRANGE', MARKS, 0, ARGV[1] - 1, 'WITHSCORES')}
