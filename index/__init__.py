"""The index sidecar: caches of collections' faces, each following its log."""
