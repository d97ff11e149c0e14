-- Whether the collection is there, is being erased, or neither.
if ERASED_UPTO then return 'erasing' end
if CREATED or IS_DEFAULT then return 'there' end
return 'none'
