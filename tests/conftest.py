"""How every test is run."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no fault of a property; what hangs is ended by pytest-timeout.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
