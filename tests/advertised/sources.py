"""All places that advertise commands, and what is done with each command."""

import functools
import re
import subprocess
import sys

from commands import Command, of_config, of_help, of_messages, of_page
from conftest import ROOT

from seqexp.cli.subcommand import COMMANDS

HELPS = ("", *COMMANDS)
"""What has a help text: a training, and each command."""

REPLACED = {
    ".venv/bin/python": "python",
    "FILE_OR_FOLDER": "my_text.txt",
    "dataset.table=FILE": "dataset.table=table.tsv",
    "dataset.reads=FILE": "dataset.reads=clusters.txt",
}
"""What a person puts in the place of a word."""

STATUS = {
    "python -m seqexp model.num_filter=3 optimizer.lr=-1 dataset.length=10": 2,
    # of the latest run, where there is none
    "python -m seqexp dataset=text model=lstm model.from_run=latest": 2,
    "python -m seqexp experiment=imdb-finetune trainer.precision=bf16 model.from_run=RUN": 2,
    "python -m seqexp -m experiment=imdb-finetune-ensemble trainer.precision=bf16"
    " model.from_run=RUN": 2,
    # whose data are not shipped, which is said
    "python -m seqexp experiment=sounds": 2,
    "python -m seqexp -m experiment=sounds": 2,
    "python -m seqexp -m experiment=sounds trainer.precision=bf16 seed=0,1": 2,
    "python -m seqexp experiment=promoters": 2,
    "python -m seqexp experiment=parts-of-speech": 2,
    "python -m seqexp -m experiment=protein-structure seed=0,1,2,3,4": 2,
    "python -m seqexp -m experiment=gestures"
    " 'dataset.test_groups=[a1],[a2],[a3],[b1],[b3],[c1],[c3]'": 2,
    "python -m seqexp experiment=shakespeare": 2,
    "python -m seqexp experiment=shakespeare trainer.precision=bf16": 2,
    "python -m seqexp -m experiment=shakespeare-ensemble": 2,
    "python -m seqexp experiment=translation": 2,
    "python -m seqexp experiment=translation trainer.precision=bf16": 2,
    "python -m seqexp experiment=translation model.attention=none": 2,
}
"""Commands that are refused here: those that are shown for their faults, and for lack of data."""

COMPOSED = {
    "-m experiment=noisy-reads 'seed=range(20)'": "twenty of a run that is typed alone",
    "-m experiment=motif 'seed=range(20)'": "twenty of a run that is typed alone",
    "-m experiment=fasta dataset.table": "five of a run that is typed alone",
    "-m experiment=fasta-ensemble": "four of runs that are typed alone",
    "-m experiment=imdb-ensemble": "four of runs that are typed alone",
    "experiment=imdb-wide": "experiment=imdb, which is typed, with a key more",
    "tracking.uri=http://HOST:5000": "there is no server of that name",
    "launcher=slurm": "there is no cluster; tests/tools/cluster has it",
}
"""What is planned only (`dry_run=true`), and why."""

ELSEWHERE = {
    "-m venv": "downloads packages; .ci/run types the one of the tests",
    "pip install": "downloads packages",
    "python -m seqexp --config-dir conf": "tests/test_readme.py",
    "trusted=my_lab": "tests/test_readme.py",
    "<Tab>": "tests/cli/test_completion.py",
    "mlflow models": "tests/cli/test_serving.py",
    "curl ": "tests/cli/test_serving.py",
    "export MLFLOW_TRACKING_URI": "of use for the lines below it only",
    "echo '{": "of use for the lines below it only",
    "mlflow server": "needs PostgreSQL",
    "psycopg2": "needs PostgreSQL",
    "MLFLOW_TRACKING_": "the name of a variable",
    "deliver outputs tracking.uri": "there is no server of that name",
    "python -m pdoc": "an extra that the tests do not install",
    "python -m pytest": "these are the tests",
    "launcher=ray": "an extra that the tests do not install; tests/tools/cluster/ray_nodes.py",
    "--nnodes 2": "waits for a second machine",
    "seqexp - experiments": "the first line of the help",
}
"""What is not typed here, and why."""

LONG = re.compile(r"python3? (-m tests\.|tests/)")
"""Scripts that take minutes: that they are there and say what they do is looked at."""


@functools.cache
def advertised() -> tuple[Command, ...]:
    """Every command, each line once, in the order of the sources."""
    pages = [file for file in sorted(ROOT.rglob("*.md")) if _is_ours(file)]
    found = [command for page in pages for command in of_page(page)]
    for name in HELPS:
        found += of_help(help_of(name), " ".join(f"python -m seqexp {name} --help".split()))
    for config in sorted((ROOT / "conf").rglob("*.yaml")):
        found += of_config(config)
    for code in sorted((ROOT / "seqexp").rglob("*.py")):
        found += of_messages(code)
    return tuple({command.line: command for command in reversed(found)}.values())[::-1]


@functools.cache
def help_of(name: str) -> str:
    """The help text of a command."""
    command = [sys.executable, "-m", "seqexp", *([name] if name else []), "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def _is_ours(file: object) -> bool:
    parts = set(str(file).removeprefix(str(ROOT)).split("/"))
    return not parts & {".venv", ".pytest_cache", "outputs", "CHANGELOG.md", "node_modules"}


def reason(command: Command) -> str | None:
    """Why a command is not typed; None if it is."""
    return next((why for part, why in ELSEWHERE.items() if part in command.line), None)


def training() -> tuple[list[Command], list[Command]]:
    """Trainings: one of each family, which is run, and the others, which are planned."""
    families: dict[tuple[str, ...], list[Command]] = {}
    for command in advertised():
        if command.is_training() and reason(command) is None and "{}" not in command.line:
            families.setdefault(command.family(), []).append(command)
    run, planned = [], []
    for family in families.values():
        shortest = min(family, key=lambda c: ("range(" in c.line, c.line.count(",")))
        rest = [command for command in family if command is not shortest]
        is_planned = any(part in shortest.line for part in COMPOSED)
        (planned if is_planned else run).append(shortest)
        planned += rest
    return run, planned


def others() -> list[Command]:
    """What comes after training."""
    return [
        command
        for command in advertised()
        if not command.is_training() and reason(command) is None and not LONG.match(command.line)
    ]


FEWER = {
    r"(?<= )('?)seed=range\(\d+\)": r"\1seed=range(2)",
    r"(?<= )seed=0,1(,\d+)+(?= |$)": "seed=0,1",
    r"(?<= )seeds=\d+": "seeds=2",
    r"(?<= )('?)dataset.fold=range\(\d+\)": r"\1dataset.fold=range(2)",
    r"(?<= )trainer.replicas=\d+": "trainer.replicas=3",
    r"(?<= )launcher.jobs=\d+": "launcher.jobs=2",
}
"""How many runs there are is a number: two are as good as twenty here."""


def as_typed(command: Command, planned: bool = False) -> str:
    """The line with a person's own words in it, made short, or only planned."""
    line = command.line
    for word, own in REPLACED.items():
        line = line.replace(word, own)
    if not command.is_training() or re.search(r" (--help|--cfg)|num_filter=", line):
        return line
    if not planned:
        for many, few in FEWER.items():
            line = re.sub(many, few, line)
    for item in ["dry_run=true"] if planned else short(line):
        key = re.escape(item.partition("=")[0])
        line, count = re.subn(rf"(?<= ){key}=\S+", item, line)
        line = line if count else f"{line} {item}"
    return line


def short(line: str) -> list[str]:
    """What makes a training short, and no other."""
    if "experiment=hello" in line or "dry_run" in line:
        return []
    added = ["trainer.epochs=1"]
    if re.search(r"dataset=chars|experiment=(chars|gradient-flow)", line):
        if "dataset.path" not in line:
            added += ["dataset.num_chars=3000"]
        if "experiment=chars" in line and "gradient_flow" not in line:
            added += ["decode.length=10"]
    else:
        added += ["trainer.max_sequences=64"]
    if "experiment=denoise" in line:
        added += ["decode.num_reads=[3]", "decode.length=null"]
        if "dataset.reads" not in line:
            added += ["dataset.num_clusters=8", "dataset.length=40"]
    if "noisy-reads" in line and "dataset.reads" not in line:
        added += ["dataset.num_reads=3", "dataset.length=60"]
    if "sweeper=optuna" in line or "experiment=search" in line:
        added += ["sweeper.n_trials=2"]
    if re.search(r"seeds=|seed=range|replicas=|num_filters=1,8|model=lstm,rnn|parallel", line) or (
        # what these choose is no part of what is drawn of filters
        re.search(r" (schedule|sweeper|launcher|force|tracking)=", line)
        and not re.search(r"interpret=|experiment=", line)
    ):
        added += ["interpret=none"]
    elif re.search(r"experiment=(motif|fasta|notebook/motif)(?= |$)", line) or not re.search(
        r"interpret=|experiment=", line
    ):
        added += ["interpret.max_shown=1"]  # most of such a run is drawing filters
    return added
