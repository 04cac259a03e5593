"""Which tokens a server accepts, as they are added and removed."""

from __future__ import annotations

from pathlib import Path

from fairlead.server.auth import TokenAuthenticator, accepted_tokens, add_token
from fairlead.server.events import ServerEvent, ServerNotice, ServerWarning


def test_without_tokens_every_request_from_this_machine_is_accepted() -> None:
    assert accepted_tokens((), own="own", private=True) == ()


def test_without_tokens_no_other_request_is() -> None:
    assert accepted_tokens((), own="own", private=False) == ("own",)


def test_the_servers_own_token_is_accepted_beside_the_others() -> None:
    assert accepted_tokens(("a", "b"), own="own", private=True) == ("a", "b", "own")


def test_a_file_that_cannot_be_read_leaves_all_as_it_was(tmp_path: Path) -> None:
    file, told = tmp_path / "tokens.json", list[ServerEvent]()
    authenticator = TokenAuthenticator(own="own", private=True, tokens=(), on_event=told.append)
    add_token(file, "shop")
    authenticator.reload(file)
    before = authenticator.tokens
    file.write_text("{")
    authenticator.reload(file)
    authenticator.reload(file)
    assert authenticator.tokens == before != ()
    assert [type(news) for news in told] == [ServerNotice, ServerWarning]
