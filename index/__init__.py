"""The index sidecar: a cache of one collection's faces, searched with FAISS, following its log."""
