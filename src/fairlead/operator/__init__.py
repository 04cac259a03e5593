"""The operator: Studies and Endpoints of a Kubernetes cluster, kept as they are asked for."""
