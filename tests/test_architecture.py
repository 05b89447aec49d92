"""The map of design: who may import whom, and that configs and packages mirror each other."""

import ast
import importlib.machinery
import importlib.util
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
    "decode": {"spec", "formats"},
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


def used_attributes(file: Path) -> set[str]:
    """Dotted names that a file reaches through a package and does not import itself.

    `motifs.jaspar` below `from Bio import motifs` is `Bio.motifs.jaspar`.
    """
    tree = ast.parse(file.read_text())
    bound: dict[str, str] = {}  # name -> what an import binds it to
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name if alias.asname else alias.name.partition(".")[0]
                bound[alias.asname or top] = top
        elif isinstance(node, ast.ImportFrom) and node.module:
            bound |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    found = set()
    for node in ast.walk(tree):
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if parts and isinstance(node, ast.Name) and node.id in bound:
            first = bound[node.id]
            found |= {".".join([first, *parts[: size + 1]]) for size in range(len(parts))}
    imported = imports(file)
    return {name for name in found if not any(f"{i}.".startswith(f"{name}.") for i in imported)}


REACHES = """
import importlib, sys
for name in sys.argv[1:]:
    parent, _, leaf = name.rpartition(".")
    if not hasattr(importlib.import_module(parent), leaf):
        print(name)
"""


def test_a_submodule_is_imported_where_it_is_used() -> None:
    """What only another module happens to import is not there in a fresh process."""
    used = {name for file in CODE.rglob("*.py") for name in used_attributes(file)}
    modules = sorted(name for name in used if is_module(name))
    assert "torch.nn.functional" in modules
    for package in {name.partition(".")[0] for name in modules}:
        names = [name for name in modules if name.startswith(f"{package}.")]
        command = [sys.executable, "-c", REACHES, *names]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_a_submodule_that_nobody_imports_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("from xml import dom\nimport os.path\ndom.minidom.x, os.path.join\n")
    assert {name for name in used_attributes(file) if is_module(name)} == {"xml.dom.minidom"}
    command = [sys.executable, "-S", "-c", REACHES, "xml.dom.minidom"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "xml.dom.minidom\n"


def is_module(name: str) -> bool:
    """Whether there is a module of the name; nothing is imported."""
    top, *rest = name.split(".")
    spec = importlib.util.find_spec(top)
    for index in range(1, len(rest) + 1):
        if spec is None or spec.submodule_search_locations is None:
            return False
        where, whole = list(spec.submodule_search_locations), ".".join([top, *rest[:index]])
        # a folder of data would be a namespace package: it has no loader
        spec = importlib.machinery.PathFinder.find_spec(whole, where)
    return spec is not None and spec.loader is not None
