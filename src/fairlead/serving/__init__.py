"""One serving process, from the socket to the prediction.

The supervisor (server/) sends it plans: which revisions to hold, and how the traffic of each model
is split. It loads them, answers requests over HTTP, and reports what it has loaded and counted. It
knows neither the ledger nor the other processes.
"""
