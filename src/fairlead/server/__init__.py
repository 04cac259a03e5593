"""The serving program, `fairlead serve`: it keeps serving processes alive and routes followed.

The supervisor binds the sockets and runs the processes; the reconciler compares the desired state
(the ledger) with what the processes report, and carries deployments out.
"""
