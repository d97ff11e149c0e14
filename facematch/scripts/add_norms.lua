-- Keep norms with faces that have none. ARGV: for each image position, norms.
if schema < 2 then return end
local size = number(redis.call('HGET', META, 'size'))
for i = 1, #ARGV, 2 do
  local faces = key('faces', ARGV[i])
  local length = redis.call('STRLEN', faces)
  if length > 0 and length / 512 == #ARGV[i + 1] / 8 then
    redis.call('APPEND', faces, ARGV[i + 1] .. struct.pack('<I8B', size, 1))
  end
end
