-- The JPEG that is kept with an image. ARGV: image.
return redis.call('HGET', key('image', ARGV[1]), 'thumbnail')
