"""The wheel, installed apart from the source tree, with configs and classes of a user's own."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import readme
from conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_spec("setuptools") is None:
        pytest.skip("setuptools is not here, and building apart would download it")
    source = tmp_path_factory.mktemp("source")
    for name in ("seqexp", "conf", ".github"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(source)]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(source)]
    subprocess.run(command, check=True, timeout=120)
    return next(source.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bin` of a new environment: seqexp from the wheel, all else from the one of the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    command = [sys.executable, "-m", "pip", f"--python={folder}", "install", "--quiet", "--no-deps"]
    # elsewhere and without PYTHONPATH: there pip would find the source tree's seqexp, and be done
    subprocess.run([*command, str(wheel)], check=True, timeout=120, cwd=folder, env=_bare())
    (site / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "bin"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configs and classes of a user's own, as the README has them."""
    folder = tmp_path_factory.mktemp("project")
    readme.write_project(folder)
    return folder


def _bare() -> dict[str, str]:
    """The environment's variables without those that change where Python or seqexp looks."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("SEQEXP", "PYTHON"))}


def called(
    bin_folder: Path, *arguments: str, project: Path, cwd: Path
) -> subprocess.CompletedProcess[str]:
    env = _bare() | {"PYTHONPATH": str(project), "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [str(bin_folder / arguments[0]), *arguments[1:]]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=240)


def test_the_wheel_has_configs_types_licence_and_the_command(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    configs = {f"seqexp/conf/{path.relative_to(ROOT / 'conf')}" for path in _configs()}
    assert len(configs) > 10 and configs <= set(names)
    kernels = [*ROOT.glob("seqexp/**/*.cpp"), *ROOT.glob("seqexp/**/*.h")]
    assert len(kernels) > 2 and {str(file.relative_to(ROOT)) for file in kernels} <= set(names)
    assert "seqexp/py.typed" in names and "seqexp/formats/MA0149.1.jaspar" in names
    assert "seqexp/interpret/filters/report.html" in names
    assert any(name.endswith("licenses/.github/LICENSE") for name in names)
    assert any(name.endswith("entry_points.txt") for name in names)


def _configs() -> list[Path]:
    return sorted((ROOT / "conf").rglob("*.yaml"))


def test_a_project_of_its_own_needs_no_fork(installed: Path, project: Path, tmp_path: Path) -> None:
    where = called(
        installed,
        "python",
        "-c",
        "import seqexp; print(seqexp.__file__)",
        project=project,
        cwd=tmp_path,
    )
    assert Path(where.stdout.strip()).is_relative_to(installed.parent)  # the wheel's
    mine = ("seqexp", "--config-dir", str(project / "conf"), "experiment=parity")
    done = called(installed, *mine, project=project, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "dense" in done.stdout and re.search(r"test/accuracy +1\n", done.stdout)
    (tmp_path / "bits.txt").write_text("0001\n0011\n")
    predict = ("python", "-m", "seqexp", "predict", "run=latest", "input=bits.txt")
    table = called(installed, *predict, "trusted=my_lab", project=project, cwd=tmp_path)
    assert table.returncode == 0, table.stderr
    rows = [line.split(",") for line in table.stdout.splitlines()]
    even, odd = rows[0].index("even"), rows[0].index("odd")
    assert float(rows[1][odd]) > 0.5 > float(rows[2][odd]) and float(rows[2][even]) > 0.5


def test_faults_of_a_users_own_classes_are_named(
    installed: Path, project: Path, tmp_path: Path
) -> None:
    mine = ("seqexp", "--config-dir", str(project / "conf"), "experiment=parity")
    wrong = called(
        installed, *mine, "model.hiden_size=3", "dataset.length=0", project=project, cwd=tmp_path
    )
    assert wrong.returncode == 2
    assert "model.hiden_size: unknown; did you mean hidden_size?" in wrong.stderr
    assert "dataset.length is 0; give an integer from 1" in wrong.stderr
    untrusted = called(installed, *mine, "trusted_packages=[]", project=project, cwd=tmp_path)
    assert untrusted.returncode == 2
    assert "model._target_ is 'my_lab.dense.Dense'; allowed are" in untrusted.stderr
    assert list(tmp_path.iterdir()) == []
