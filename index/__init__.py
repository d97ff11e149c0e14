"""The index sidecar: caches of collections' faces, searched exactly, each following its log."""
