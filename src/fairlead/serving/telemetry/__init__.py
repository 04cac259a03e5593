"""What people and the canary judge see of a serving process: metrics, logs, traces.

It knows requests and settings, nothing else of serving/. The http package, the reporter and the
process write to it; routing, engine and protocol do not (an import contract holds it).
"""
