"""The manifest: a candidate as the JSON artefact that names its files.

The same candidate gives the same bytes, so that it has one digest.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from fairlead.records import Candidate


def dump(candidate: Candidate) -> bytes:
    """The candidate as JSON, the same bytes for the same candidate."""
    return json.dumps(asdict(candidate), indent=1, sort_keys=True, allow_nan=False).encode()


def load(content: bytes) -> Candidate:
    """The candidate that `dump` wrote.

    Raises:
        Corrupt: The content is no manifest.
    """
    from pydantic import TypeAdapter, ValidationError

    from fairlead.errors import Corrupt

    try:
        return TypeAdapter(Candidate).validate_json(content)
    except ValidationError as error:
        raise Corrupt(f"reading a candidate's manifest: {error.errors()[0]['msg']}") from error
