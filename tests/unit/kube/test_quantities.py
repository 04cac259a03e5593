"""Quantities of Kubernetes are read as it reads them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fairlead.kube.quantities import amount


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2", 2),
        ("500m", Decimal("0.5")),
        ("1.5", Decimal("1.5")),
        ("1Ki", 1024),
        ("512Mi", 512 * 1024**2),
        ("10G", 10**10),
        ("1e3", 1000),
        ("1E", 10**18),
        ("250u", Decimal("0.00025")),
    ],
)
def test_each_unit(text: str, number: Decimal) -> None:
    assert amount(text) == number


@pytest.mark.parametrize("text", ["", "m", "1 Gi", "-1", "1Zi", "ten"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=" is no "):
        amount(text)
