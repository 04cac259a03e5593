"""The revisions of one serving process: loaded, asked, unloaded, let go.

Belongs here: sessions and the rules of their life, the split of traffic, the bins of predictions.
Does not: bytes (protocol/), and connections (http/).
"""
