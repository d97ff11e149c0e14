-- An image as a reader sees it. ARGV: image.
local fields = redis.call('HMGET', key('image', ARGV[1]), 'state', 'position', 'nonce', 'model',
  'boxes', 'width', 'height', 'faces_found', 'code')
if not fields[1] then return false end
return {fields, redis.call('SMEMBERS', key('names', ARGV[1]))}
