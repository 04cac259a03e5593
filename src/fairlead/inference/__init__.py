"""Predicting with an exported model, and what can be known of it beforehand."""

from fairlead.inference.exported import Exported
from fairlead.inference.inspection import Inspected, inspect

__all__ = ["Exported", "Inspected", "inspect"]
