"""One serving process: `python -P -m fairlead.serving.process`.

Belongs here: its main function, which takes its settings (start.py). Does not: its life (life.py).
"""

from __future__ import annotations

import os
import sys

from fairlead.serving.life import live
from fairlead.serving.start import VARIABLE, decode


def main() -> int:
    """Serve until told to end; the exit status."""
    return live(decode(os.environ.pop(VARIABLE)))


if __name__ == "__main__":
    sys.exit(main())
