"""What the pages tell a newcomer to write and to type does what they say."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import readme
from conftest import LONGEST, ROOT


def typed(command: str, folder: Path) -> str:
    """What a command of a page prints, with `python` as the one that runs the tests."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_a_dataset_a_model_and_an_experiment_of_ones_own(tmp_path: Path) -> None:
    readme.write_project(tmp_path)
    names = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.*"))
    assert names == [
        "conf/dataset/parity.yaml",
        "conf/experiment/costly.yaml",
        "conf/experiment/parity.yaml",
        "conf/model/dense.yaml",
        "my_lab/dense.py",
        "my_lab/own.py",
        "my_lab/parity.py",
    ]
    (alone,) = readme.commands("README.md")
    assert "test/accuracy" in typed(alone, tmp_path)
    train, sweep, predict = readme.commands("conf/README.md")
    assert re.search(r"test/accuracy +1\n", typed(train, tmp_path))
    table = typed(sweep, tmp_path).split("behind the best", 1)[1]
    assert {"model=dense", "model=rnn"} <= set(re.findall(r"model=\w+", table))
    # the latest run is the sweep's last one, a recurrent network that may have learned less
    header, *rows = typed(predict, tmp_path).splitlines()
    assert {"even", "odd"} <= set(header.split(",")) and len(rows) == 2


def test_a_metric_a_callback_and_a_loss_of_ones_own(tmp_path: Path) -> None:
    readme.write_project(tmp_path)
    train, again = readme.commands("conf/OWN.md")
    said = typed(train, tmp_path)
    assert "my_lab.own.focal is the loss" in said
    assert re.search(r"epoch 6/6 .* valid/cost \d", said)
    assert (
        re.search(r"test/cost, euros +\d", said) and "valid cost at the kept epoch, euros" in said
    )
    (result,) = tmp_path.glob("outputs/runs/*/result.json")
    metrics = json.loads(result.read_text())["metrics"]
    assert metrics["weights/norm_max"] >= metrics["weights/norm"] > 0  # of epochs 2, 4 and 6
    assert "bit-equal" in typed(again, tmp_path)


def test_the_page_of_tests_names_files_that_are_there() -> None:
    page = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:python )?((?:tests/)?[\w/]+\.(?:py|sh))[` ]", page))
    assert len(named) > 20
    for name in [*named, *LONGEST]:
        assert (ROOT / name).is_file() or (ROOT / "tests" / name).is_file(), name


def test_each_option_has_a_row_in_the_page_of_options() -> None:
    page = (ROOT / "conf" / "README.md").read_text(encoding="utf-8")
    written = set(re.findall(r"^\| `([\w/]+=[\w/-]+)` \|", page, flags=re.MULTILINE))
    options = {
        f"{file.relative_to(ROOT / 'conf').parts[0]}="
        + "/".join(file.relative_to(ROOT / "conf").with_suffix("").parts[1:])
        for file in (ROOT / "conf").rglob("*.yaml")
    }
    shown = {option for option in options if not option.startswith(("config.yaml=", "hydra="))}
    assert written == shown
