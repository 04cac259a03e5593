"""What `fairlead serve` shows of a request, once a model is live."""

from __future__ import annotations

import json
import shlex

from fairlead.cli.commands.serve import example

URL = "http://127.0.0.1:8080"


def test_a_row_is_a_request_for_a_shell() -> None:
    row = {"a b": 1.5, "it's": "x"}
    words = shlex.split(example(URL, "houses", row, token=False))
    assert words[:4] == ["curl", "-sS", f"{URL}/models/houses:predict", "-d"]
    assert json.loads(words[4]) == {"rows": [row]}


def test_a_row_of_an_image_is_no_line_to_paste() -> None:
    row = {f"pixel_{place}": 0 for place in range(784)}
    said = example(URL, "digits", row, token=True)
    assert said == f"digits: a row has 784 columns: {URL}/docs shows a request"
