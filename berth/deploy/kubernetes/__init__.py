"""Kubernetes: the manifests of docker/kubernetes/, applied by kubectl."""
