"""The control API: what `control/` offers, over HTTP under /api/v1, and the program that serves it.

Every request passes the gate (who is it, may it), then a route, which asks `control/` and writes
the records that come back as JSON, with the names that the commands' --json has. Errors are problem
documents (RFC 9457).
"""
