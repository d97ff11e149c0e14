"""The REST layer and the web page: takes pictures in, says what became of them."""
