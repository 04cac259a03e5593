"""YAML 1.2 with places, bounded."""

from __future__ import annotations

import math

import pytest

from fairlead.errors import InvalidSpec
from fairlead.spec import yaml


def plain(text: str) -> object:
    node = yaml.parse(text, "f.yaml")
    assert node is not None
    return node.plain()


def refusal(text: str) -> str:
    with pytest.raises(InvalidSpec) as caught:
        yaml.parse(text, "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("12", 12),
        ("-7", -7),
        ("012", 12),
        ("0o17", 15),
        ("0xfF", 255),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("3.", 3.0),
        ("1e-3", 0.001),
        ("-.inf", -math.inf),
        ("2020-01-01", "2020-01-01"),
        ("1:30", "1:30"),
        ("12e", "12e"),
    ],
)
def test_a_plain_scalar_means_what_yaml_1_2_says(text: str, value: object) -> None:
    found = yaml.resolve(text)
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_number() -> None:
    found = yaml.resolve(".nan")
    assert isinstance(found, float)
    assert math.isnan(found)


def test_a_quoted_scalar_is_text() -> None:
    assert plain("a: '12'\nb: \"null\"\nc: |\n  true\n") == {"a": "12", "b": "null", "c": "true\n"}


def test_every_part_knows_its_place() -> None:
    tree = yaml.parse("a:\n  - {b: é, c: 1}\n", "f.yaml")
    assert tree is not None
    node = tree.find(("a", 0, "c"))
    assert node is not None
    assert str(node.place) == "f.yaml:2:15"


def test_an_absent_value_stands_at_its_key() -> None:
    tree = yaml.parse("a:\nb: 1\n", "f.yaml")
    assert tree is not None
    node = tree.find(("a",))
    assert node is not None
    assert str(node.place) == "f.yaml:1:1"


def test_anchors_and_merge_keys_are_followed() -> None:
    text = "x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: {<<: [{a: 9}, *x]}\nl: [*x]\n"
    assert plain(text) == {
        "x": {"a": 1, "b": 2},
        "y": {"a": 1, "b": 3},
        "z": {"a": 9, "b": 2},
        "l": [{"a": 1, "b": 2}],
    }


def test_nothing_but_comments_is_no_document() -> None:
    assert yaml.parse("# nothing\n", "f.yaml") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: 'a' is there twice; first at f.yaml:1:1"),
        ("a: *b\n", "f.yaml:1:4: *b names no anchor"),
        ("a: &a [*a]\n", "f.yaml:1:8: *a names no anchor"),
        ("a: !!python/object/apply:os.getcwd []\n", "f.yaml:1:4: the tag "),
        ("a: !!str 1\n", "f.yaml:1:4: the tag "),
        ("? [a]\n: 1\n", "f.yaml:1:3: a key must be plain text"),
        ("a: 1\n--- \nb: 1\n", "f.yaml:2:1: a second document begins"),
        ('a: "\\ud800"\n', "f.yaml:1:4: '\\ud800' has half a character"),
        ("a: 1\nb: \x07\n", "f.yaml:2:4: character #x0007 is not allowed"),
        ("a:\n\tb: 1\n", "f.yaml:2:1: not YAML: "),
        ("a: [1\n", "f.yaml:2:1: not YAML: "),
        ("- a\nb: 1\n", "f.yaml:2:1: not YAML: "),
        ("a: b: c\n", "f.yaml:1:5: not YAML: "),
        ("<<: 1\n", "f.yaml:1:1: << needs a mapping"),
    ],
)
def test_what_is_no_spec_is_refused_at_its_place(text: str, said: str) -> None:
    message = refusal(text)
    assert message.startswith(said)
    assert "\n" not in message


def test_a_tab_is_answered_with_spaces() -> None:
    assert refusal("a:\n\tb: 1\n").endswith("indent with spaces, not tabs")


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 18)),
        "a: [" + "1, " * 50_000 + "1]",
        "".join(f"k{i}: 1\n" for i in range(30_000)),
    ],
    ids=["aliases", "list", "mapping"],
)
def test_a_bomb_is_refused_before_it_is_unfolded(text: str) -> None:
    assert "more than 20,000 values" in refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 100_000,
        "a: " + "{a: " * 100_000,
        "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 40)),
    ],
    ids=["lists", "mappings", "aliases"],
)
def test_endless_nesting_is_refused_before_it_is_followed(text: str) -> None:
    assert "nested more than 20 deep" in refusal(text)


def test_a_part_can_be_replaced_and_the_rest_stays() -> None:
    tree = yaml.parse("a: &a {x: 1}\nb: *a\n", "f.yaml")
    new = yaml.parse("2", "g")
    assert tree is not None
    assert new is not None
    assert tree.replaced(("b", "x"), new).plain() == {"a": {"x": 1}, "b": {"x": 2}}
    assert tree.replaced(("c", "y"), new).plain() == {
        "a": {"x": 1},
        "b": {"x": 1},
        "c": {"y": 2},
    }
