"""Who a server lets in, as tokens come and go."""

from __future__ import annotations

from pathlib import Path

from fairlead.server.auth import TokenAuthenticator, accepted_tokens, add_token
from fairlead.server.events import ServerEvent, ServerNotice, ServerWarning


def test_without_tokens_everybody_on_this_machine_is_let_in() -> None:
    assert accepted_tokens((), own="own", private=True) == ()


def test_without_tokens_nobody_else_is() -> None:
    assert accepted_tokens((), own="own", private=False) == ("own",)


def test_the_server_lets_itself_in_beside_those_who_have_a_token() -> None:
    assert accepted_tokens(("a", "b"), own="own", private=True) == ("a", "b", "own")


def test_a_file_that_cannot_be_read_leaves_all_as_it_was(tmp_path: Path) -> None:
    file, told = tmp_path / "tokens.json", list[ServerEvent]()
    porter = TokenAuthenticator(own="own", private=True, tokens=(), told=told.append)
    add_token(file, "shop")
    porter.look(file)
    before = porter.tokens
    file.write_text("{")
    porter.look(file)
    porter.look(file)
    assert porter.tokens == before != ()
    assert [type(news) for news in told] == [ServerNotice, ServerWarning]
