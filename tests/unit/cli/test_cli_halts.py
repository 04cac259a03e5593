"""What a run that does not go on is said to lack, and what to do about it."""

from __future__ import annotations

from fairlead.cli.halts import in_words


def test_who_has_no_worker_is_told_how_to_start_one() -> None:
    assert in_words("no_worker").startswith("no worker is alive: start `fairlead")
    assert "controller" in in_words("no_controller", autoscalers=["a"])


def test_where_an_autoscaler_starts_workers_it_is_named() -> None:
    line = in_words("no_worker", autoscalers=["prices-1"])
    assert line.startswith("no worker is alive: autoscaler 'prices-1' starts them, see `fairlead")
    assert "fleet --decisions" in line
