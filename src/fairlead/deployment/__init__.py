"""Bringing revisions into service: the serving program, and the deployments that it carries out.

Belongs here: the supervisor of serving processes, the steps of a deployment, the canary judge and
the test through the real endpoint. Does not: answering requests (serving/).
"""
