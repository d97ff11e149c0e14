-- Bring the data to the schema of this version. Returns the one that it had, false when there is none.
if redis.call('HEXISTS', META, 'epoch') == 0 then return false end
local former = schema
if former < SCHEMA then migrate() end
return former
