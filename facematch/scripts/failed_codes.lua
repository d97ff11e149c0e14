-- The codes that jobs have failed with, and how many with each.
local codes = {}
for _, code in ipairs(redis.call('ZRANGE', FAILED, 0, -1)) do
  local count = redis.call('ZCOUNT', key('failed', code), now(), '+inf')
  if count > 0 then codes[#codes + 1] = {code, count} end
end
return codes
