-- Make the collection unless it exists. ARGV: epoch, model, threshold.
if redis.call('HEXISTS', META, 'epoch') == 0 then
  redis.call('HSET', META, 'epoch', ARGV[1], 'model', ARGV[2], 'threshold', ARGV[3],
    'position', 0, 'chain', redis.sha1hex(ARGV[1]))
end
return collection_view()
