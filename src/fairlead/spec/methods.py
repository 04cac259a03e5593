"""The search methods that a spec can name, and where each is in the package `search`.

A new one is a module there and a line here.
"""

METHODS = {  # name: module of the package `search`, and the method in it
    "grid": "grid:GRID",
    "random": "optuna_search:RANDOM",
    "tpe": "optuna_search:TPE",
}
NAMES = tuple(METHODS)
