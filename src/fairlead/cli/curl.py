"""The curl line that asks a served model for a prediction.

Belongs here: the line. Does not: rows to ask for (golden rows, rollout/smoke_test.py).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from urllib.parse import quote

from fairlead.records import Scalar


def curl(url: str, model: str, row: Mapping[str, Scalar], *, token: bool) -> str:
    """The line, to be pasted into a shell.

    Args:
        url: Of the server.
        model: Name of the model.
        row: What to predict.
        token: Whether the server wants one; it is taken from $FAIRLEAD_TOKEN.
    """
    body = json.dumps({"rows": [dict(row)]}, ensure_ascii=False)
    head = ' -H "Authorization: Bearer $FAIRLEAD_TOKEN"' if token else ""
    address = f"{url}/models/{quote(model, safe='')}:predict"
    return f"curl -sS{head} {shlex.quote(address)} -d {shlex.quote(body)}"
