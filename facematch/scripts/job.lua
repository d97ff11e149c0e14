-- A job as its submitter sees it. ARGV: job. One that was submitted before there was the edition
-- that is served is known to the other one.
if given_up() then return false end
local view = job_view(ARGV[1])
if not view then
  also_in_other(function() view = job_view(ARGV[1]) end)
end
return view
