"""The families whose libraries every test environment has."""

from __future__ import annotations

from fairlead.families import catalog

LIGHT = tuple(name for name in catalog.NAMES if name != "keras")
"""All but those of TensorFlow, whose tests are marked `distributed`."""
