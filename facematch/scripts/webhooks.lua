-- The webhooks there are. ARGV: which ('': all).
local views = {}
for _, id in ipairs(ARGV[1] == '' and redis.call('ZRANGE', WEBHOOKS, 0, -1) or {ARGV[1]}) do
  if redis.call('ZSCORE', WEBHOOKS, id) then views[#views + 1] = webhook_view(id) end
end
return views
