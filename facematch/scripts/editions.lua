-- The editions there are.
return editions_view()
