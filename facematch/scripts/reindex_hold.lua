-- A range that is still in somebody's hands. ARGV: reindex, first position.
if redis.call('HGET', REINDEX, 'id') == ARGV[1] then
  redis.call('ZADD', RANGES, 'XX', now(), ARGV[2])
end
