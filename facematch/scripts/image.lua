-- An image as a reader sees it, with why it was submitted. ARGV: image.
local view = image_view(ARGV[1])
if view then view[3] = redis.call('SMEMBERS', bases_of(ARGV[1])) end
return view
