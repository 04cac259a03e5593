"""How every test is run."""

from __future__ import annotations

import os

from hypothesis import settings

# A busy machine is no fault of a property; what hangs is ended by pytest-timeout.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as there are cores: many tests wait for leases, clocks and connections."""
    affinity = hasattr(os, "sched_getaffinity")  # a container may have few of the machine's
    return (len(os.sched_getaffinity(0)) if affinity else os.cpu_count() or 1) * 3 // 2
