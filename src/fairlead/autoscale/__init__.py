"""How many workers there are: a pure rule, a thin loop that follows it, and a simulation of it."""
