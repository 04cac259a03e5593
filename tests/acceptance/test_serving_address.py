"""What a server says about where it is."""

from __future__ import annotations

from tests.acceptance.conftest import Place


def test_a_server_for_others_says_what_it_is_bound_to(place: Place) -> None:
    place.done("token", "add", "shop")
    serving = place.serve("--host", "0.0.0.0")
    port = serving.url.rpartition(":")[2]
    assert serving.url == f"http://127.0.0.1:{port}"
    assert serving.said[0].endswith(f"processes, bound to 0.0.0.0:{port}")
