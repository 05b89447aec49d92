"""What a search may vary: read from YAML and from the command line, and refused where unsound."""

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from seqexp.sweep.optuna.space import Choice, Range, Space, read_override, read_space


def of_command(text: str) -> Space:
    override = OverridesParser.create().parse_override(text)
    space, faults = read_space({override.get_key_element(): read_override(override)})
    assert not faults
    return space


def test_a_space_is_read_by_dotted_or_nested_keys() -> None:
    dotted = {"model": ["lstm", "rnn"], "optimizer.lr": {"low": 1e-4, "high": 0.1, "log": True}}
    nested = {"model": ["lstm", "rnn"], "optimizer": {"lr": dotted["optimizer.lr"]}}
    expected = {"model": Choice(("lstm", "rnn")), "optimizer.lr": Range(1e-4, 0.1, log=True)}
    assert read_space(dotted) == (expected, []) == read_space(nested)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model=lstm,rnn", Choice(("lstm", "rnn"))),
        ("a.b=1,2.5,null", Choice(("1", "2.5", "null"))),
        ("a.b=interval(1,5)", Range(1.0, 5.0)),
        ("a.b=int(interval(1,5))", Range(1, 5)),
        ("a.b=tag(log,interval(1e-4,1e-1))", Range(1e-4, 1e-1, log=True)),
        ("a.b=range(16,64,16)", Range(16, 48, step=16)),  # the stop is left out
        ("a.b=range(0.5,1.5,0.5)", Choice(("0.5", "1.0"))),
    ],
)
def test_the_command_line_says_it_in_hydras_words(text: str, expected: Range | Choice) -> None:
    assert list(of_command(text).values()) == [expected]


def test_numbers_are_whole_where_both_ends_are() -> None:
    assert Range(1, 5).is_whole and not Range(1.0, 5).is_whole
    assert Range(16, 64, step=16).is_whole and not Range(0, 1, step=0.25).is_whole


def test_values_are_written_so_that_the_command_line_reads_them_back() -> None:
    values = [1, 2.5, 1e-05, None, True, "same", "two words", [1, 2], "a,b"]
    space, faults = read_space({"a.b": values})
    assert not faults
    parser = OverridesParser.create()
    found = space["a.b"]
    assert isinstance(found, Choice)
    read = [parser.parse_override(f"a.b={text}").value() for text in found.values]
    assert [getattr(value, "text", value) for value in read] == values


@pytest.mark.parametrize(
    ("search", "says"),
    [
        ({"a.b": {"low": 2, "high": 1}}, "search.a.b: low is 2, but high is 1; give low <= high"),
        ({"a.b": {"low": 0, "high": 1, "log": True}}, "log is true, but low is 0; give a low abo"),
        ({"a.b": {"low": 1, "high": 9, "log": True, "step": 2}}, "log is true, but step is 2"),
        ({"a.b": {"low": 1, "high": 9, "step": 0}}, "search.a.b.step is 0; give a number above 0"),
        ({"a.b": {"low": 1}}, "search.a.b.high: missing; give a number"),
        ({"a.b": {"low": "x", "high": 1}}, "search.a.b.low is 'x'; give a number"),
        ({"a.b": {"low": 1, "high": True}}, "search.a.b.high is True; give a number"),
        ({"a.b": {"lwo": 1, "low": 1, "high": 2}}, "search.a.b.lwo: unknown; did you mean low?"),
        ({"a.b": {"low": 1, "high": 2, "log": 10}}, "search.a.b.log is 10; give true or false"),
        ({"a.b": 3}, "search.a.b is 3; give a list of values"),
        ({"a.b": []}, r"search.a.b is []; give a list of values"),
        ({"a.b": {}}, "search.a.b.low: missing"),
        ({"paths.outputs": ["a", "b"]}, "search.paths.outputs: no result depends on it"),
    ],
)
def test_an_unsound_space_is_refused_by_name_and_value(search: dict[str, Any], says: str) -> None:
    space, faults = read_space(search)
    assert not space and any(says in fault for fault in faults), faults
