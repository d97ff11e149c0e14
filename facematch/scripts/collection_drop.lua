-- Erase the collection: prelude.lua tells and makes nothing of it from now on. ARGV: up to which
-- number ('': now). The default one is going to be as it is now, but empty. Returns the number;
-- false when there is none, or one that was made after that.
if ERASED_UPTO then return ERASED_UPTO end
if not (CREATED or IS_DEFAULT) then return false end
local upto = ARGV[1]
if upto ~= '' and number(CREATED) > number(upto) then return false end
if upto == '' then upto = next_number() end
redis.call('HSET', EDITIONS, 'dropping', upto)
tell_uploads(0)
if IS_DEFAULT and redis.call('EXISTS', META) == 1 then
  local policy = policy_of(served())
  redis.call('HSET', EDITIONS, 'kept.model', redis.call('HGET', META, 'model'),
    'kept.calibration', redis.call('HGET', META, 'calibration') or '',
    'kept.threshold', redis.call('HGET', META, of(served(), 'threshold')),
    'kept.max_false_matches', policy.max_false or '', 'kept.max_matches', policy.max_matches or '')
end
return upto
