"""Kubernetes without a container engine: helm and a real API server, built from source."""
