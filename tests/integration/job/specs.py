"""Specs of the tests, as text."""

RIDGE = """
name: ridge
data: {source: diabetes, seed: 0}
search:
  method: random
  folds: 2
  trials: 3
  over:
    - family: sklearn.linear_model:Ridge
      params: {alpha: {low: 0.01, high: 10.0, log: true}}
"""


SHARED = """
name: shared
data: {source: diabetes}
search:
  method: grid
  folds: 2
  task_time: 5s
  over:
    - family: random_forest
      params: {n_estimators: [2, 5, 200000]}
"""


def slow(trials: int = 12, seconds: float = 0.2) -> str:
    return f"""
name: slow
data: {{source: diabetes, holdout: {{share: 0.2}}}}
search:
  method: random
  folds: 2
  trials: {trials}
  over:
    - family: ./slow.py:Slow
      params: {{alpha: {{low: 0.01, high: 10.0, log: true}}, seconds: {seconds}}}
"""


def bad(how: str, *, limits: str = "") -> str:
    return f"""
name: bad
data: {{source: diabetes}}
search:
  method: grid
  folds: 2
  {limits}
  over:
    - family: ./bad.py:Bad
      params: {{alpha: [0.1, 1.0], how: [well, {how}]}}
"""
