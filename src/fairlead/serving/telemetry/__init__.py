"""What people and the canary judge see of a serving process.

Belongs here: metrics, logs and traces. Does not: what follows from them.
"""
