"""What a run says about serving what came of it."""

from __future__ import annotations

from tests.acceptance.conftest import Place


def test_run_says_how_its_champion_is_served_and_when_new_settings_take_effect(
    place: Place,
) -> None:
    alpha = ("--set", "search.over[0].params.alpha=[0.6]")
    assert (
        f"`{place.program} serve ridge` serves it" in place.run("run", "ridge.yaml", *alpha).stderr
    )
    changed = place.run("run", "ridge.yaml", *alpha, "--set", "serve.idle_after=60s")
    assert f"`{place.program} run SPEC --deploy` deploys it with the new one" in changed.stderr
    place.serve().until("ridge: v2 100 %")
    assert "serves it" not in place.run("run", "ridge.yaml", *alpha).stderr
    older = place.done("promote", "ridge", "1", "--why", "it was better")
    assert older
    said = place.run("run", "ridge.yaml").stderr
    assert f"something else is live; `{place.program} deploy ridge` deploys this version" in said
