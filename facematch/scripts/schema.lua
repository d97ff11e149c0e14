-- The schema of the data, false when there is none.
return redis.call('HEXISTS', META, 'epoch') == 1 and schema
