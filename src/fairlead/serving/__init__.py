"""Answering with what is live: one serving process, from the socket to the prediction.

Belongs here: protocols, sessions, the split of traffic, limits. Does not: which revisions there
are and how traffic moves between them (server/), which a serving process is only told.
"""
