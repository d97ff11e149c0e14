-- The collection as it is.
return collection_view()
