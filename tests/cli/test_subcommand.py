"""What holds for every command: its help, its arguments, its errors."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from seqexp import __version__
from seqexp.cli.store_location import KEYS, place
from seqexp.cli.subcommand import COMMANDS, PLACE, WHICH, read, run_command
from seqexp.cli.which import KEYS as OF_RUNS
from seqexp.config.signature import signature
from seqexp.errors import InputError

KEYED = sorted({*COMMANDS} - {"deliver"})
"""Commands of which all words are `key=value`."""


@pytest.mark.parametrize("command", KEYED)
def test_the_help_names_every_argument_and_no_other(command: str) -> None:
    text = _text(command)
    named = set(re.findall(r"^  (\w+)  ", text, re.M))
    arguments = set(signature(COMMANDS[command]).parameters) - {PLACE}
    kinds = {*WHICH} & arguments
    assert named == (arguments - kinds).union(*(OF_RUNS[kind] for kind in kinds))
    assert re.search(r"^  tracking\.uri, paths\.outputs(, paths\.data)?  ", text, re.M)
    assert max(map(len, text.splitlines())) <= 100
    assert f"  python -m seqexp {command} " in text  # an example


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_is_there_and_needs_nothing_heavy(command: str) -> None:
    text = _text(command)
    assert f"\npython -m seqexp {command} " in text
    assert text.strip() == import_module(f"seqexp.cli.{command}").__doc__.strip()


def test_the_help_of_all_names_each_command() -> None:
    text = _said("--help")
    for command in COMMANDS:
        assert re.search(rf"^  +python -m seqexp {command} --help  +\w", text, re.M)


def test_the_version_is_ours() -> None:
    assert _said("--version").splitlines()[0] == f"seqexp {__version__}"


def _said(*words: str) -> str:
    command = [sys.executable, "-m", "seqexp", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def _text(command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "seqexp", command, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "seqexp.cli.subcommand" in loaded  # the list is one
    assert loaded & {"torch", "mlflow", "pandas", "pydantic", "hydra", "numpy", "Bio"} == set()
    return done.stdout


@pytest.mark.parametrize("command", KEYED)
def test_wrong_arguments_are_told_together(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(command, ["nonsense", "path.outputs=x"]) == 2
    says = capsys.readouterr().err
    assert "nonsense: cannot be read; write KEY=VALUE" in says
    assert "path.outputs: unknown; did you mean paths.outputs?" in says


def test_a_folder_stands_without_a_key(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_command("deliver", [str(tmp_path)]) == 0
    assert "there is nothing to deliver" in capsys.readouterr().out
    for word, says in (
        ("tracking.url=http://x:1", "tracking.url=http://x:1: unknown; did you mean tracking.uri?"),
        ("--all", "--all: unknown; give folders of runs"),
        ("nowhere", "there is no folder nowhere"),
    ):
        assert run_command("deliver", [word]) == 2
        assert says in capsys.readouterr().err


def test_values_have_the_types_of_the_signature() -> None:
    known = {"a": str, "b": int, "c": tuple[str, ...], "d": int | None, "e": str | None}
    given = ["a=12", "b=3", "c=x,y", "d=null", "e=1e5"]
    assert read(given, known) == {"a": "12", "b": 3, "c": ["x", "y"], "d": None, "e": "1e5"}
    for wrong, says in (
        ("b=1.5", "b is 1.5; give an integer"),
        ("b=x", "b is 'x'; give an integer"),
        ("f=1", "f: unknown; known are a, b, c, d, e"),
    ):
        with pytest.raises(InputError, match=re.escape(says)):
            read([wrong], known)
    with pytest.raises(InputError, match="b: stands twice"):
        read(["b=1", "b=2"], known)
    with pytest.raises(InputError, match="a: missing; give a text, as a=..."):
        read([], known, ["a"])


def test_the_place_is_that_of_the_composition(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEQEXP_OUTPUTS", raising=False)
    assert place({}).uri == f"sqlite:///{tmp_path}/outputs/mlflow.db"
    monkeypatch.setenv("SEQEXP_OUTPUTS", str(tmp_path / "mine"))
    assert place({}).uri == f"sqlite:///{tmp_path}/mine/mlflow.db"
    assert place({"paths.outputs": "other"}).outputs == tmp_path / "other"
    assert place({"tracking.uri": "http://host:5000"}).uri == "http://host:5000"
    with pytest.raises(InputError, match="holds a password"):
        place({"tracking.uri": "http://a:b@host:5000"})
    assert {key.partition(".")[0] for key in KEYS} <= {"tracking", "paths"}
