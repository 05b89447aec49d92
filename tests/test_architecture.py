"""The law of the house: floors, rooms, and that each group of configs lies in its room."""

import ast
import importlib.machinery
import importlib.util
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from seqexp.config.groups import GROUPS

CODE = ROOT / "seqexp"
CONF = ROOT / "conf"

FLOORS = (
    {"errors"},
    {"spec", "ranges", "metrics", "seeding", "utils"},
    {"kernels", "task", "data", "formats"},
    {"decode"},
    {"dataset", "interpret", "tracking", "optimizer"},
    {"model", "trainer"},
    {"config"},
    {"build", "checkpoint", "inference"},
    {"callback", "sweep"},
    {"run"},
    {"cli"},
    {"__main__"},
)
"""Rooms and files of seqexp by floor, from 0; each imports from those below it only."""

STOREYS = {room: storey for storey, rooms in enumerate(FLOORS) for room in rooms}

RULED = {"dataset", "model", "tracking", "trainer"}
"""Rooms with a `check.py`: of them, and of all on their floors, config reads nothing else."""

SCIENCE = {
    *("spec", "data", "seeding", "kernels", "task", "formats"),
    *("dataset", "model", "interpret", "trainer", "decode", "optimizer", "checkpoint"),
}
"""Rooms that see neither configs nor trackers of others."""

CONFIGS_AND_TRACKERS = {"mlflow", "hydra", "omegaconf"}

HEAVY = ("torch", "mlflow", "pandas", "matplotlib")

MAX_AT_THE_TOP = 10
MAX_LINES_OF_A_README = 80

FILES = sorted(CODE.rglob("*.py"))
ROOMS = sorted(path for path in CODE.iterdir() if path.is_dir() and any(path.glob("*.py")))


def imports(file: Path) -> set[str]:
    """Dotted names that a file imports anywhere in it; of `from a import b`, a and a.b."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: give the whole name of what is imported"
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(CODE.parent).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    """The room, or the file at the top; of seqexp itself, `seqexp`."""
    return [*module.split("."), ""][1] or "seqexp"


OLD_NAMES = "old_names.py"
"""The bridge from names of before, which lead to any floor; it stands beside the law."""

DOOR = {"seqexp.cli", "seqexp.cli.api"}
"""What the package itself imports once it is asked for `train` or `load`."""

MODULES = {module_of(file): file for file in FILES if file.name != OLD_NAMES}
OURS = {module: sorted(imports(file) & MODULES.keys()) for module, file in MODULES.items()}
"""Module -> modules of ours that it imports, at its top or late."""


def test_every_room_has_its_floor() -> None:
    rooms = {room_of(module) for module in MODULES} - {"seqexp"}
    assert len(rooms) > 20
    assert rooms == STOREYS.keys()


@pytest.mark.parametrize("room", [*sorted(STOREYS), "seqexp"])
def test_a_room_imports_only_from_floors_below(room: str) -> None:
    upward = [
        f"{module} -> {other}"
        for module, others in OURS.items()
        if room_of(module) == room
        for other in others
        if room_of(other) not in (room, "seqexp")
        and not (module == "seqexp" and other in DOOR)
        and STOREYS[room_of(other)] >= STOREYS.get(room, STOREYS["data"])
    ]
    assert upward == []


def test_the_map_tells_the_same_floors() -> None:
    rows = re.findall(r"^ ?(\d+)((?: +\w+)+)$", (CODE / "README.md").read_text(), re.M)
    assert {int(number): set(rooms.split()) for number, rooms in rows} == dict(enumerate(FLOORS))


def test_one_place_of_a_room_makes_the_objects_that_a_config_describes() -> None:
    """Of runs, of sweeps and of stored models, which are made of code that is trusted only."""
    makers = {module for module, others in OURS.items() if "seqexp.config.instantiate" in others}
    assert makers == {"seqexp.build", "seqexp.sweep.job", "seqexp.inference.saved_model"}
    hydra = {name for name, file in MODULES.items() if "hydra.utils" in imports(file)}
    assert hydra == {"seqexp.config.instantiate"}


def test_no_module_imports_itself_through_others() -> None:
    graph = {module: [m for m in others if m != "seqexp"] for module, others in OURS.items()}
    list(TopologicalSorter(graph).static_order())  # raises CycleError, with the circle


def test_config_reads_the_rules_of_rooms_and_nothing_else_of_them() -> None:
    checked = {f"seqexp.{room}.check" for room in RULED}
    assert {file.parent.name for file in CODE.glob("*/check.py")} == RULED | {"config"}
    low, high = STOREYS["dataset"], STOREYS["config"]
    read = {
        other
        for module, others in OURS.items()
        if room_of(module) == "config"
        for other in others
        if low <= STOREYS.get(room_of(other), -1) < high and other.count(".") > 1
    }
    assert read == checked


@pytest.mark.parametrize("room", sorted(SCIENCE))
def test_science_sees_neither_configs_nor_trackers(room: str) -> None:
    files = [file for module, file in MODULES.items() if room_of(module) == room]
    assert files
    packages = {name.split(".")[0] for file in files for name in imports(file)}
    assert packages & CONFIGS_AND_TRACKERS == set()


def test_few_files_stand_at_the_top() -> None:
    files = {path.name for path in CODE.iterdir() if path.is_file()}
    assert len(files - {"py.typed"}) <= MAX_AT_THE_TOP + 1, files  # and the README
    assert {file for file in files if not file.endswith(".py")} <= {"py.typed", "README.md"}


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: path.name)
def test_a_room_says_what_it_is_for(room: Path) -> None:
    readme = room / "README.md"
    assert readme.is_file()
    assert 0 < len(readme.read_text().splitlines()) <= MAX_LINES_OF_A_README


SETS_THE_ENVIRONMENT = "tracking"
"""The room whose `__init__.py` also sets variables, before MLflow is imported anywhere."""


def test_a_folder_is_a_package_of_one_docstring() -> None:
    # the plugin is found in a package of Hydra's, which has no file of its own
    folders = {file.parent for file in FILES if "plugin" not in file.parts} - {CODE}
    assert len(folders) > len(ROOMS) > 10
    for folder in folders:
        body = ast.parse((folder / "__init__.py").read_text()).body
        assert isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant), folder
        assert len(body) == 1 or folder.name == SETS_THE_ENVIRONMENT, folder


def options() -> list[tuple[str, str, str]]:
    """Group, option and the target that the option's file names."""
    found = []
    for name in GROUPS:
        for file in sorted((CONF / name).glob("*.yaml")):
            content = yaml.safe_load(file.read_text())
            node = content.get(name, content)
            if isinstance(node, dict) and "_target_" in node:
                found.append((name, file.stem, node["_target_"]))
    return found


SAME_CLASS = {("decode", "greedy"): "sample"}
"""Options that are another option's class with other values."""


@pytest.mark.parametrize(("group", "option", "target"), options())
def test_an_option_lies_in_the_room_of_its_group(group: str, option: str, target: str) -> None:
    if target.startswith("torch."):
        assert GROUPS[group].pytorch is not None
        return
    name = SAME_CLASS.get((group, option), option).replace("-", "_")
    home = "seqexp." + GROUPS[group].home.format(option=name)
    module, _, called = target.rpartition(".")
    assert module == home or module.startswith(f"{home}.")
    if group == "schedule":
        assert called == name


def test_every_group_has_an_option_that_lies_in_its_room() -> None:
    assert {group for group, _, _ in options()} == {*GROUPS}


def test_every_config_opens_with_what_it_is() -> None:
    files = sorted(CONF.rglob("*.yaml"))
    assert len(files) > 10
    for file in files:
        lines = file.read_text().splitlines()
        head = lines[1] if lines[0].startswith("# @package") else lines[0]
        assert head.startswith("# "), file


HEADS = [file for name in GROUPS for file in sorted((CONF / name).glob("*.yaml"))]


@pytest.mark.parametrize("file", HEADS, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_the_head_of_an_option_names_its_code(file: Path) -> None:
    text = file.read_text()
    named = re.findall(r"^# Code: (\S+)$", text, re.M)
    content = yaml.safe_load(text)
    node = content.get(file.parent.name, content)
    if node is None:  # the option that turns its group off
        assert named == []
    elif "_target_" not in node:  # a variant of another option
        assert len(named) == 1 and (ROOT / named[0]).is_file()
        (other,) = node["defaults"]
        assert f"# Code: {named[0]}\n" in (file.parent / f"{other}.yaml").read_text()
    else:
        module, target = node["_target_"].rpartition(".")[0], node["_target_"]
        path = f"{module.replace('.', '/')}.py"
        assert named == [path if (ROOT / path).is_file() else target]


def test_nothing_heavy_is_imported_for_help() -> None:
    assert heavy_imports("--help", (*HEAVY, "pydantic", "Bio")) == []


def test_torch_and_mlflow_are_not_imported_for_a_config_that_is_wrong() -> None:
    # all kinds of faults that need a constructor's signature
    arguments = ("model.num_filters=-1", "optimizer.lr=-1", "schedule.x=1", "dataset.length=3")
    assert heavy_imports(*arguments, heavy=HEAVY) == []


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
