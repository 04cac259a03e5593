"""Artefacts: files named by the SHA-256 of what is in them."""

from fairlead.artifacts.backend import Stored
from fairlead.artifacts.store import Artifacts

__all__ = ["Artifacts", "Stored"]
