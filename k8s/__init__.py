"""The manifests for Kubernetes, and what checks them."""
