-- An image as a reader sees it. ARGV: image.
return image_view(ARGV[1])
