"""From a connection to an answer.

Belongs here: connections and bodies held to their limits, who may ask, the routes, the way of one
request. Does not: what a body means (protocol/), and predicting (engine/).
"""
