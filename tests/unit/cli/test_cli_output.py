"""How a line is shared between the columns of a table."""

from __future__ import annotations

import pytest

from fairlead.cli.output import print_fields, print_table, shared


def test_every_column_has_what_it_wants_where_there_is_room() -> None:
    assert shared(30, least=[5, 5], most=[10, 20]) == [10, 20]


def test_a_short_column_is_not_folded_for_a_long_one() -> None:
    assert shared(40, least=[5, 5, 5], most=[13, 8, 200]) == [13, 8, 19]


def test_no_word_is_broken_while_the_longest_words_fit() -> None:
    assert shared(30, least=[13, 8, 4], most=[13, 8, 90]) == [13, 8, 9]
    assert shared(25, least=[13, 8, 4], most=[13, 80, 90]) == [13, 8, 4]


def test_the_longest_word_is_broken_first() -> None:
    assert shared(30, least=[64, 8, 6], most=[64, 8, 90]) == [16, 8, 6]


def test_an_id_is_broken_only_where_that_of_all_others_is_not_enough() -> None:
    assert shared(40, least=[18, 30, 7], most=[18, 30, 7], whole=[0]) == [18, 15, 7]
    assert max(shared(20, least=[18, 30, 7], most=[18, 30, 7], whole=[0])) < 18


def test_a_column_that_can_be_spared_is_left_out_of_a_narrow_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = (("run", "carried by", "state"), [("0123456789abcdef.1", "a-long-host-4711", "done")])
    for columns, heading in (("60", "run carried by state"), ("30", "run state")):
        monkeypatch.setenv("COLUMNS", columns)
        print_table(*table, unfolded=("run",), spared=("carried by",))
        lines = capsys.readouterr().out.splitlines()
        assert " ".join(lines[0].split()) == heading
        assert lines[2].startswith("0123456789abcdef.1 ")


@pytest.mark.parametrize("room", range(60))
def test_a_line_is_never_longer_than_the_room_unless_it_has_less_than_a_character_a_column(
    room: int,
) -> None:
    widths = shared(room, least=[4, 30, 7], most=[4, 90, 12])
    assert min(widths) >= 1
    assert sum(widths) <= max(room, 3)


def test_a_percent_stays_with_its_number(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    print_table(("name", "live"), [("a-model-name", "v1 100 %, v2 0 %")])
    assert capsys.readouterr().out.splitlines()[2:] == [
        "a-model-name  v1",
        "              100 %,",
        "              v2 0 %",
    ]
    print_fields([("gate", "a gain of about (95 % interval)")])
    assert capsys.readouterr().out == "gate  a gain of about\n      (95 % interval)\n"


def test_a_line_without_end_is_shared_at_once() -> None:
    assert shared(10**12, least=[5, 5], most=[10, 200]) == [10, 200]
    assert shared(10**12, least=[], most=[]) == []
