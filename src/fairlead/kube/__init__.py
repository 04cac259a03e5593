"""Kubernetes: its API server, and the objects that are given to it."""
