"""A new search method is one module and one line: a spec can name it, with options of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import fairlead

MODULE = '''\
"""Every combination, the last one first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import Field

from fairlead.records import Result, Trial
from fairlead.search.grid import GridSearch, grid
from fairlead.search.search import NoOptions, Search, SearchRequest


class Options(NoOptions):
    skip: int = Field(default=0, ge=0)


@dataclass(frozen=True, kw_only=True)
class Backwards:
    points: GridSearch
    size: int
    lag: int | None = None
    chunk: int = 100

    def suggest(self, number: int, history: Sequence[Result]) -> Trial:
        return replace(self.points.suggest(self.size - 1 - number, history), number=number)


class Method:
    exhaustive = True
    options = Options

    def versions(self) -> Mapping[str, str]:
        return {}

    def search(self, request: SearchRequest) -> Search:
        points = grid(request.spaces, trials=request.trials)
        return Backwards(points=points, size=points.size - request.options.skip)


BACKWARDS = Method()
'''
USE = """
import sys
from pathlib import Path

import fairlead
from fairlead.errors import InvalidSpec
from fairlead.settings import from_environment
from fairlead.spec.document import json_schema
from fairlead.spec.load import load
from fairlead.study import plan as plans

folder = Path(sys.argv[1])
assert Path(fairlead.__file__).is_relative_to(folder), fairlead.__file__
assert "backwards" in json_schema()["$defs"]["Search"]["properties"]["method"]["enum"]

def make(*sets):
    loaded = load(folder / "spec.yaml", sets=sets)
    with loaded.located():
        return plans.make(loaded.spec, base=folder, settings=from_environment({}, home=folder))

search = make().search
print([search.suggest(number, ()).params["alpha"] for number in range(search.size)])
for sets in (["search.options.skip=-1"], ["search.options.skp=1"], ["search.method=backward"]):
    try:
        make(*sets)
    except InvalidSpec as error:
        print(str(error).removeprefix(str(folder)))
"""
SPEC = """
name: backwards
data: {source: rows.csv, target: y}
search:
  method: backwards
  folds: 2
  options: {skip: 1}
  over:
    - family: linear
      params: {alpha: [1, 2, 3]}
"""


def test_a_new_search_method_is_one_module_and_one_line(tmp_path: Path) -> None:
    copy = tmp_path / "fairlead"
    shutil.copytree(Path(fairlead.__file__).parent, copy)
    (copy / "search" / "backwards.py").write_text(MODULE)
    methods = copy / "spec" / "methods.py"
    line = '    "backwards": "backwards:BACKWARDS",\n'
    methods.write_text(methods.read_text().replace('    "grid":', line + '    "grid":'))
    (tmp_path / "spec.yaml").write_text(SPEC)
    rows = "".join(f"{n % 7},{n}\n" for n in range(100))
    (tmp_path / "rows.csv").write_text(f"y,x\n{rows}")
    done = subprocess.run(
        [sys.executable, "-c", USE, str(tmp_path)],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "[2, 1]",
        ("--set: search.options.skip: Input should be greater than or equal to 0, not -1"),
        "--set: search.options.skp is not known; options of backwards: skip",
        (
            "--set: search.method must be 'backwards', 'grid', 'random' or "
            "'tpe', not 'backward'; did you mean 'backwards'?"
        ),
    ]
