"""What an installation in a Kubernetes cluster consists of, as typed objects.

`objects.py` makes them all from one record, `installation.py`. Nothing here speaks to a cluster:
the same objects are applied by a command, printed, and written as manifests.
"""
