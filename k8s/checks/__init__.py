"""`python -m k8s.checks`, for `make k8s-check`: are the manifests right, as far as can be told
without a cluster?"""
