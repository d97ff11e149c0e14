-- Accepted jobs that nobody looked after for a while; from now on somebody does. ARGV: age, limit.
return due_of(ACCEPTED, ARGV[1], ARGV[2])
