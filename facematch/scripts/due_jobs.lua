-- Accepted jobs that nobody looked after for a while; from now on somebody does. ARGV: age, limit.
-- Every collection's are asked for now and then: so what a process of an older version has left out of
-- the uploads that wait is not left out for good.
count_uploads()
return due_of(ACCEPTED, ARGV[1], ARGV[2])
