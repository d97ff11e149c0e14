-- A job as its submitter sees it. ARGV: job.
return job_view(ARGV[1])
