-- What is to be grouped anew. ARGV: how many marks.
-- Returns {revision, marking, false pairs, limit, reach, generation, {position, mark, …}}.
local about = redis.call('HMGET', PEOPLE, 'revision', 'marking', 'false_pairs', 'limit', 'reach',
  'generation')
return {about[1] or '0', number(about[2]), about[3], about[4], about[5], about[6],
  redis.call('ZRANGE', MARKS, 0, ARGV[1] - 1, 'WITHSCORES')}
