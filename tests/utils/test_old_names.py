"""Old names are read as the new ones, and say so once: commands, imports, and `_target_`s."""

import importlib.util
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

import seqexp.data
from seqexp.config.groups import CONF
from seqexp.config.signature import constants, signature
from seqexp.config.trust import offered
from seqexp.utils import old_names
from seqexp.utils.old_names import COMMANDS, MODULES, NAMES, module_of, with_new_targets

IMPORT_ALL = """
import importlib
from seqexp.utils.old_names import MODULES, NAMES
for old in MODULES:
    importlib.import_module(old)
    importlib.import_module(MODULES[old])
for old, parts in NAMES.items():
    for name, new in parts.items():
        there = getattr(importlib.import_module(new), name)
        found = getattr(importlib.import_module(old), name)
        assert found is there or isinstance(found, (int, str, tuple)), (old, name)
"""

TARGETS = {
    "optimizer": "seqexp.trainer.lazy_adam.LazyAdam",
    "schedule": "seqexp.trainer.schedule.cosine",
    "interpret": "seqexp.interpret.filters.Filters",
    "gradient_flow": "seqexp.interpret.gradient_flow.GradientFlow",
    "launcher": "seqexp.sweep.launchers.Local",
    "sweeper": "seqexp.sweep.grid.Grid",
}
"""Group -> a name that its configs had, whose module is now elsewhere."""

OWN = """
from seqexp.dataset.pfm import PositionFrequencyMatrix
from seqexp.model.recurrent import CellName
from seqexp.spec import Data, Sequences, stream_seed

class Own:
    def __init__(self, cell: CellName = "lstm", size: int = 3) -> None: ...

class Copy(Own):
    LIMIT = 7
"""


def done(*command: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "ignore", *command],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=cwd,
    )


def test_every_old_name_leads_to_what_is_there_now() -> None:
    found = done("-c", IMPORT_ALL)
    assert (found.returncode, found.stdout) == (0, ""), found.stderr


@pytest.mark.parametrize("old", [*MODULES, *NAMES])
def test_no_old_name_hides_a_module(old: str) -> None:
    file = ROOT / old.replace(".", "/")
    is_there = file.with_suffix(".py").is_file() or (file / "__init__.py").is_file()
    assert is_there == (old not in MODULES)
    for name in NAMES.get(old, ()):  # `from package import module` looks for a name first
        assert not (file / f"{name}.py").is_file() and not (file / name).is_dir()


@pytest.mark.parametrize("old", COMMANDS)
def test_an_old_command_works_and_says_how_it_is_typed(old: str) -> None:
    found = done("-m", old, "--help")
    says = f"seqexp: python -m {old} is python -m seqexp {COMMANDS[old]} now"
    assert found.returncode == 0 and found.stderr.startswith(says) and found.stderr.count("\n") == 1
    assert f"\npython -m seqexp {COMMANDS[old]} " in found.stdout
    assert done("-m", old, "nonsense=1").returncode == 2


def test_an_own_module_imports_by_old_names_and_is_told_the_new_ones(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    code = "import mine, mine as again; from seqexp.spec import Data; print(mine.Data.__module__)"
    found = done("-c", code, cwd=tmp_path)
    assert (found.returncode, found.stdout) == (0, "seqexp.data\n"), found.stderr
    lines = found.stderr.splitlines()
    assert "seqexp: seqexp.spec.Data is seqexp.data.Data now" in found.stderr
    assert len(lines) == len({*lines}) == 4


def test_an_own_module_is_checked_by_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_by_old_names.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    found = signature("own_by_old_names.Copy").parameters
    assert "gru" in str(found["cell"].annotation) and found["size"].annotation is int
    assert constants("own_by_old_names.Copy")["LIMIT"] == 7


def test_a_pickle_by_an_old_name_is_read() -> None:
    text = pickle.dumps(seqexp.data.Pattern, 0).replace(b"seqexp.data", b"seqexp.spec")
    assert b"seqexp.spec" in text
    assert pickle.loads(text) is seqexp.data.Pattern


def test_the_source_of_a_module_that_lost_names_is_its_own() -> None:
    spec = importlib.util.find_spec("seqexp.run")
    assert spec is not None and spec.origin == str(ROOT / "seqexp/run.py")
    assert importlib.util.find_spec("seqexp.nothing") is None
    with pytest.raises(ImportError, match="nothing"):
        from seqexp.spec import nothing  # type: ignore[attr-defined]  # noqa: F401


@pytest.mark.parametrize("group", TARGETS)
def test_an_old_target_is_read_as_one_that_configs_name(
    group: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(old_names, "_said", set())
    node = {group: {"_target_": TARGETS[group], "x": [{"_target_": 3}]}}
    found = with_new_targets(node, is_said=True)
    assert found[group]["_target_"] in offered()[group]
    assert node[group]["_target_"] == TARGETS[group] and found[group]["x"] == [{"_target_": 3}]
    assert (
        f"_target_: {TARGETS[group]} is {found[group]['_target_']} now" in capsys.readouterr().err
    )


def test_names_of_today_are_left_as_they_are() -> None:
    for file in CONF.rglob("*.yaml"):
        node = yaml.safe_load(file.read_text())
        assert with_new_targets(node) == node
    assert module_of("seqexp.spec", "TaskSpec") == "seqexp.spec"
    assert module_of("my_lab.spec", "Data") == "my_lab.spec"


def test_the_command_is_called_by_its_old_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from seqexp.cli import main

    monkeypatch.setattr(sys, "argv", ["seqexp", "--version"])
    with pytest.raises(SystemExit) as ended:
        main()  # type: ignore[operator]
    assert not ended.value.code
