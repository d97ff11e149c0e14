-- The reindex there is.
return reindex_view()
