"""The map of design: who may import whom, and that configs and packages mirror each other."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

CODE = ROOT / "seqexp"
CONF = ROOT / "conf"

LEAVES = {
    *("bar", "compile", "drawing", "errors", "files", "names", "ranges", "ranking", "metrics"),
    *("streams", "workers"),
}
"""Modules without imports of ours, but each other, which any part may use."""

MAY_IMPORT = {
    "compile": set(),
    "errors": set(),
    "files": set(),
    "formats": set(),
    "ranges": set(),
    "metrics": set(),
    "ranking": set(),
    "signature": set(),
    "spec": set(),
    "tracking": set(),
    "checkpoint": set(),
    "dataset": {"spec", "formats"},
    "model": {"spec"},
    "interpret": {"spec", "formats"},
    "trainer": {"spec"},
    "decode": {"spec"},
}
"""Part -> parts of ours that it may import, beside itself and the leaves."""

NEVER = {
    "dataset": {"mlflow", "hydra", "omegaconf"},
    "model": {"mlflow", "hydra", "omegaconf"},
    "interpret": {"mlflow", "hydra", "omegaconf"},
    "trainer": {"mlflow", "hydra", "omegaconf"},
    "decode": {"mlflow", "hydra", "omegaconf"},
    "checkpoint": {"mlflow", "hydra", "omegaconf"},
    "spec": {"mlflow", "hydra", "omegaconf"},
}

MIRRORED = ("dataset", "model", "tracking")
"""Groups whose options are one module each, of the same name."""


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def files_of(part: str) -> list[Path]:
    folder = CODE / part
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [CODE / f"{part}.py"]


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_a_part_imports_only_what_the_map_allows(part: str) -> None:
    files = files_of(part)
    assert files and all(file.is_file() for file in files)
    ours = {
        name.split(".")[1] for file in files for name in imports(file) if name.startswith("seqexp.")
    }
    assert ours - LEAVES - {part} <= MAY_IMPORT[part]


@pytest.mark.parametrize("part", NEVER)
def test_a_part_never_sees_configs_or_trackers(part: str) -> None:
    packages = {name.split(".")[0] for file in files_of(part) for name in imports(file)}
    assert packages & NEVER[part] == set()


def test_every_package_has_its_place_on_the_map() -> None:
    packages = {path.name for path in CODE.iterdir() if (path / "__init__.py").is_file()}
    assert packages == {*MAY_IMPORT, "sweep", "commands"} - {
        part for part in MAY_IMPORT if not (CODE / part).is_dir()
    }


@pytest.mark.parametrize("group", MIRRORED)
def test_an_option_is_a_module_of_the_same_name(group: str) -> None:
    options = sorted((CONF / group).glob("*.yaml"))
    assert options
    for option in options:
        content = yaml.safe_load(option.read_text())
        target = (content.get(group) or content)["_target_"]
        assert target.startswith(f"seqexp.{group}.{option.stem.replace('-', '_')}.")


def test_every_config_opens_with_what_it_is() -> None:
    files = sorted(CONF.rglob("*.yaml"))
    assert len(files) > 10
    for file in files:
        lines = file.read_text().splitlines()
        head = lines[1] if lines[0].startswith("# @package") else lines[0]
        assert head.startswith("# "), file


def test_nothing_heavy_is_imported_for_help() -> None:
    heavy = ("torch", "mlflow", "pandas", "matplotlib", "pydantic", "Bio")
    assert heavy_imports("--help", heavy) == []


def test_torch_and_mlflow_are_not_imported_for_a_config_that_is_wrong() -> None:
    # all kinds of faults that need a constructor's signature
    arguments = ("model.num_filters=-1", "optimizer.lr=-1", "schedule.x=1", "dataset.length=3")
    assert heavy_imports(*arguments, heavy=("torch", "mlflow", "pandas", "matplotlib")) == []


def heavy_imports(*arguments: str | tuple[str, ...], heavy: tuple[str, ...] = ()) -> list[str]:
    if arguments and isinstance(arguments[-1], tuple):
        *arguments, heavy = arguments  # type: ignore[assignment]
    command = [sys.executable, "-X", "importtime", "-m", "seqexp", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "hydra" in loaded  # the list is one
    return sorted(loaded & set(heavy))
