"""Every other advertised command: what comes after training, what is planned only, what is long."""

import os
import re
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from conftest import ROOT
from sources import COMPOSED, LONG, STATUS, advertised, as_typed, others, training

from seqexp.cli.subcommand import COMMANDS

pytest_plugins = ("shell",)

TAGS = "python -m seqexp dataset=tagging dataset.num_made=40 model=lstm trainer.epochs=1"
DNA = "python -m seqexp dataset=fasta dataset.positives=peaks.fa trainer.epochs=1 interpret=none"
CALIBRATED = (
    "python -m seqexp trainer.epochs=1 dataset.num_train=40 dataset.num_valid=60"
    " dataset.num_test=20 interpret=none"
)
"""Whose validation has mistakes, so that there is a temperature."""

PAIRS = (
    "python -m seqexp dataset=pairs dataset.num_made=40 model=rnn model.attention=dot decode=none"
    " trainer.epochs=1"
)
TEXT = (
    "python -m seqexp dataset=text model=lstm dataset.path=my_texts.csv dataset.text_column=review"
    " dataset.label_column=stars trainer.epochs=1"
)
CHARS = "python -m seqexp experiment=chars trainer.epochs=1 dataset.num_chars=3000 decode=none"
SWEEP = (
    "python -m seqexp -m model.num_filters=1,2,3 trainer.epochs=1 trainer.max_sequences=20"
    " interpret=none"
)

SYNOPSIS = {
    "input=FILE genome=GENOME.fa output=TABLE.tsv": "input=variants.tsv genome=genome.fa"
    " output=effects.tsv",
    "genome=GENOME.fa [output=TRACK.bw]": "genome=genome.fa output=track.bw",
    "runs=RUN,RUN|sweep=RUN input=variants.tsv": "runs=3f9c,77a0 input=variants.tsv",
    "runs=RUN,RUN|sweep=RUN input=FILE": "runs=3f9c,77a0 input=peaks.fa.gz",
    "input=FILE output=FOLDER": "input=reviews.csv output=explained",
    "run=RUN": "run=latest",
    "runs=RUN,RUN,...": "runs=3f9c,77a0,e771",
    "sweep=RUN": "sweep=b02d",
    "motifs=A,B": "motifs=TGACTCA,CACGTG distances=0-2 count=5",
    "motif=MOTIF": "motif=TGACTCA count=20",
    "input=FILE": "input=reviews.csv",
    "[output=TABLE.csv]": "output=table.csv",
    "prompt=TEXT": "prompt=the",
    "FOLDER [FOLDER...]": "outputs",
    " [tracking.uri=URI]": "",
    " [yes=true]": "",
    "clean yes=true paths.outputs=other_outputs": "clean yes=true paths.outputs=outputs",
    " [KEY=VALUE ...]": "",
}
"""What a person puts in the place of the words of a usage line."""


NAMED = re.compile(rf" (?:{'|'.join({*COMMANDS} - {'ui'})})$")
"""A command that a sentence names, and does not type."""


SEVERAL = re.compile(r"(predict|variants|marginalize|spacing) (runs|sweep)=")
"""Commands on several runs."""


def store_of(line: str) -> str:
    """The training whose outputs a command looks at."""
    if " compare" in line or SEVERAL.search(line):
        return SWEEP
    if "deliver" in line:
        return f"{DNA} seed=1"
    if "sample" in line:
        return CHARS
    if "calibrate=true" in line:
        return CALIBRATED
    if "per=token" in line:
        return TAGS
    if "what=attention" in line:
        return PAIRS
    return TEXT if "reviews.csv" in line else DNA


def typed(line: str) -> str:
    """A line with a person's own words in the place of those of a usage line."""
    for word, own in SYNOPSIS.items():
        line = line.replace(word, own)
    return f"{line} --help" if NAMED.search(line) else line


def ids(outputs: Path) -> tuple[str, list[str]]:
    """A sweep's own run, and those below it."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{outputs / 'mlflow.db'}")
    found = client.search_runs([e.experiment_id for e in client.search_experiments()])
    children = [run.info.run_id for run in found if "mlflow.parentRunId" in run.data.tags]
    (parent,) = (run.info.run_id for run in found if run.info.run_id not in children)
    return parent, children


SERVES = re.compile(r"seqexp ui(?! --help)|mlflow ui")
OTHERS = [c for c in others() if "{}" not in c.line and not SERVES.search(c.line)]
ANEW = [
    next(c for c in OTHERS if f"seqexp {name} " in c.line and not c.line.endswith("--help"))
    for name in ("predict", "sample", "compare", "export", "reproduce", "deliver")
]
"""One command of each name, typed with an interpreter that imports all by itself."""

SERVERS = [
    command
    for command in others()
    if re.search(r"seqexp ui(?! --help)", command.line)
    # the usage line: others are typed with its port and without
    and "[port=PORT]" not in command.line
]


@pytest.mark.parametrize("command", OTHERS, ids=lambda command: command.line)
def test_what_comes_after_training_runs(command, shell, trained) -> None:  # type: ignore[no-untyped-def]
    line = typed(command.line)
    outputs = trained(store_of(line))
    if command in ANEW:
        shell = shell.anew()
    if " deliver " in line:  # to the store beside the runs
        replace(shell, folder=outputs.parent).type(line)
        return
    (shell.folder / "outputs").symlink_to(outputs)
    if (" compare " in line or SEVERAL.search(line)) and "--help" not in line:
        parent, children = ids(outputs)
        for word, own in zip(("b02d", "3f9c", "77a0", "e771"), (parent, *children), strict=True):
            line = line.replace(word, own)
    elif "3f9c" in line:
        line = line.replace("3f9c", "latest")
    shell.type(line)


def test_pages_are_opened_with_and_without_a_port() -> None:
    assert {" port=" in command.line for command in SERVERS} == {True, False}


@pytest.mark.parametrize("command", SERVERS, ids=lambda command: command.line)
def test_the_pages_open(command, shell, trained) -> None:  # type: ignore[no-untyped-def]
    outputs = trained(DNA)
    for name in ("outputs", "other_outputs"):
        (shell.folder / name).symlink_to(outputs)
    line = typed(command.line)
    port = re.search(r"port=(\d+)", line)
    assert_serves(line, int(port[1]) if port else 5000, shell)


def test_the_line_that_a_run_prints_opens_its_pages(shell, trained) -> None:  # type: ignore[no-untyped-def]
    outputs = trained(DNA)
    (shell.folder / "outputs").symlink_to(outputs)
    printed = shell.type(DNA)  # finished before: the summary again
    line = re.search(r"open the UI +(.*)", printed)[1]  # type: ignore[index]
    assert_serves(f"{line} --port 5004", 5004, shell)


def assert_serves(line, port, shell) -> None:  # type: ignore[no-untyped-def]
    process = subprocess.Popen(
        [
            "bash",
            "-c",
            f"exec {line}"
            if "=" not in line.split()[0]
            else f"export {line.split()[0]}; exec {line.partition(' ')[2]}",
        ],
        cwd=shell.folder,
        env=shell.anew().environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 120
        while True:
            assert process.poll() is None, process.stdout.read()  # type: ignore[union-attr]
            try:
                assert requests.get(f"http://127.0.0.1:{port}/", timeout=5).ok
                break
            except requests.RequestException:
                assert time.monotonic() < until, line
                time.sleep(0.3)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            printed, _ = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            printed, _ = process.communicate()
    # MLflow alone shows a traceback of its own when it is interrupted
    assert "Traceback" not in printed or "mlflow ui" in line, printed


@pytest.mark.parametrize("command", training()[1], ids=lambda command: command.line)
def test_what_differs_in_values_only_is_planned(command, shell) -> None:  # type: ignore[no-untyped-def]
    shell.type(as_typed(command, planned=True), STATUS.get(command.line, 0))


@pytest.mark.parametrize(
    "line", [command.line for command in advertised() if LONG.match(command.line)]
)
def test_a_long_script_is_there_and_says_what_it_is(line: str) -> None:
    name = re.match(r"python3? (?:-m (tests[\w.]+)|(tests/[\w/]+\.(?:py|sh)))", line)
    assert name is not None
    file = ROOT / (f"{name[1].replace('.', '/')}.py" if name[1] else name[2])
    text = file.read_text(encoding="utf-8")
    assert text.startswith(('"""', "#!"))
    for flag in re.findall(r" (--[\w-]+)", line):
        assert flag in text, flag


def test_what_is_only_planned_has_its_reason() -> None:
    assert all(COMPOSED.values())
