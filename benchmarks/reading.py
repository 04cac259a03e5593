"""Reading tables: California housing, and a CSV of 1,000,000 rows by 20 columns.

    .venv/bin/python benchmarks/reading.py [ROWS] [RUNS]

Seconds from the file to a table of numbers and its fingerprint, beside pandas.read_csv with the
pyarrow engine and a matrix of float64 of what it read. Each run is a process of its own; imports
are not counted.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from timing import ROOT, median_ratio, python

OURS = """
import sys, time
from pathlib import Path
import numpy as np, pyarrow.csv
from fairlead.data.read import read
from fairlead.settings import Settings
from fairlead.spec.document import Data
source, target, impute = sys.argv[1:4]
data = Data(source=source, target=target or None, impute=impute or None)
settings = Settings(home=Path("home"), data=(Path(sys.argv[4]),))
started = time.monotonic()
table = read(data, base=Path(), settings=settings)
print(time.monotonic() - started, len(table.features))
"""
PANDAS = """
import sys, time
import numpy as np, pandas as pd, pyarrow.csv
source, target = sys.argv[1:3]
started = time.monotonic()
frame = pd.read_csv(source, engine="pyarrow")
y = frame.pop(target).to_numpy(float)
X = frame.to_numpy(float)
print(time.monotonic() - started, len(X))
"""


def seconds(code: str, *arguments: str) -> float:
    done = subprocess.run(
        python("-c", code, *arguments), cwd=ROOT, check=True, capture_output=True, text=True
    )
    return float(done.stdout.split()[0])


def table(path: Path, rows: int) -> None:
    """Ten columns of drawn numbers, five of whole ones, five with a gap in every hundredth row."""
    rng = np.random.default_rng(0)
    columns = {f"n{at}": rng.normal(size=rows) for at in range(10)}
    columns |= {f"w{at}": rng.integers(0, 1000, rows) for at in range(5)}
    columns |= {
        f"g{at}": np.where(rng.random(rows) < 0.01, np.nan, rng.normal(size=rows))
        for at in range(5)
    }
    pd.DataFrame(columns).rename(columns={"g4": "y"}).fillna({"y": 0.0}).to_csv(path, index=False)


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.csv")
        table(path, rows)
        size = path.stat().st_size / 1e6
        ours, theirs = [], []
        for _ in range(runs):
            ours.append(seconds(OURS, str(path), "y", "mean", folder))
            theirs.append(seconds(PANDAS, str(path), "y"))
    print(f"CSV of {rows:,} rows by 20 columns ({size:.0f} MB), {runs} runs each, in turn")
    print(
        f"fairlead {statistics.median(ours):.2f} s   pandas with pyarrow "
        f"{statistics.median(theirs):.2f} s   times pandas' {median_ratio(ours, theirs):.2f}"
    )
    shared = ROOT.parent / "shared" / "data"
    california = [seconds(OURS, "california", "", "mean", str(shared)) for _ in range(runs)]
    print(f"California by name {statistics.median(california):.3f} s")


if __name__ == "__main__":
    main()
