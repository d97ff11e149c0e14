-- Note what fsck has found. ARGV: invariant, number of findings, …
local record = BASE .. 'fsck'
redis.call('DEL', record)
redis.call('HSET', record, 'at', now(), unpack(ARGV))
