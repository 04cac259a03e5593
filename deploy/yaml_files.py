"""Documents of YAML, written the same each time."""

from __future__ import annotations

from typing import Any

import yaml

HEAD = "# Written by `make manifests`: change src/fairlead/kube/install/ instead.\n"


class _Dumper(yaml.SafeDumper):
    """Writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        """Write it again."""
        return True


def dumped(*found: Any) -> str:
    """Documents of YAML."""
    return HEAD + yaml.dump_all(found, Dumper=_Dumper, sort_keys=False, width=100)
