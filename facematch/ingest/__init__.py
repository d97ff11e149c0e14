"""Submitting a whole set of pictures: `facematch ingest`. Begin with `facematch.ingest.run`."""
