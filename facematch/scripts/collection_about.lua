-- The collection with what is in it; false while the default one was not made yet.
return collection_about()
