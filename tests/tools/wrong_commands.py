"""Puts wrong commands through the command line: none may crash, hang, or leave anything behind.

    python -m tests.tools.wrong_commands [--seed 0] [--random 400] [--hand 200] [--only TEXT]

Half of a random command is a valid one, and one to three of its words are then changed: keys,
values, groups, flags, types, signs. Each runs `main` in a fork of a process that has imported
everything, in an empty folder of its own. A command that happens to be right may finish: all are
dry runs or two epochs without tracking. Exit status 1 if any command did not keep to this.
"""

import argparse
import contextlib
import gc
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqexp.cli.subcommand import COMMANDS

SECONDS = 60
"""Of processor time, after which a command hangs; it is ended after `PATIENCE` times as many."""

PATIENCE = 5

REFUSED, FINISHED = 2, 0

SHORT = ("trainer=smoke", "tracking=none", "interpret=none", "gradient_flow=none", "decode=none")

VALID = (
    ("dry_run=true",),
    ("model=lstm", "dataset=motif", "dry_run=true"),
    ("dry_run=true", "model.num_filters=8", "seed=1", "optimizer.lr=1e-3"),
    ("dry_run=true", "experiment=hello"),
    ("dry_run=true", "experiment=chars", "decode.prompt=the cat "),
    ("dry_run=true", "dataset=text", "model=lstm", "dataset.path=texts.jsonl"),
    ("dry_run=true", "dataset=fasta", "dataset.positives=peaks.fa", "dataset.test_names=^chr8:"),
    ("-m", "dry_run=true", "model=lstm,rnn", "seed=0,1"),
    ("-m", "dry_run=true", "model.num_filters=1,8", "seeds=2"),
    ("-m", "dry_run=true", "launcher=parallel", "launcher.jobs=2", "seed=0,1"),
    ("-m", "dry_run=true", "experiment=search"),
    ("dry_run=true", "--config-dir", "mine", "experiment=sound"),
    ("--cfg", "job", "model=rnn"),
    ("--info", "defaults"),
    ("predict", "run=latest", "input=peaks.fa"),
    ("sample", "run=latest", "prompt=the cat "),
    ("compare", "runs=3f9c,77a0", "metric=test/accuracy"),
    ("compare", "sweep=b02d"),
    ("reproduce", "run=latest"),
    ("ui", "port=5001"),
    ("deliver", "outputs"),
)
"""Commands to be changed; the first word may be a subcommand."""

SIGNS = "()[]{}~=:!,#%$*?&|;'\"\\\t \n<>^`@+-./äé🙂\u202e0"

VALUES = (
    *(
        "",
        "null",
        "none",
        "None",
        "true",
        "false",
        "0",
        "-1",
        "1e400",
        "nan",
        "inf",
        "1e-12",
        "3.5",
    ),
    *("x", "a,b", "[1,2", "[]", "{}", "{a: 1}", "(", ")", "'", '"', "\\", "${x}", "${seed}", "${"),
    *("choice(1,2)", "range(3)", "interval(0,1)", "glob(*)", "int(x)", "/nowhere/x", ".", "~", "-"),
    *("é", "🙂", "a b", " a", "1_000", "0x10", "١", "!!python/object:os.system", "$(touch x)"),
)

KEYS = (
    *("seed", "model", "dataset", "trainer", "experiment", "optimizer", "launcher", "sweeper"),
    *(
        "model.num_filters",
        "model.hidden_size",
        "model.hidden_layers",
        "model.init",
        "model._target_",
    ),
    *("trainer.epochs", "trainer.batch_size", "trainer.device", "trainer.bptt.k1", "trainer.bptt"),
    *("optimizer.lr", "optimizer.betas", "optimizer._target_", "schedule._target_", "seeds"),
    *("dataset.path", "dataset.motif", "dataset.length", "dataset.test_names", "decode.prompt"),
    *("paths.outputs", "paths.data", "paths", "tracking.uri", "optimized_metric", "force"),
    *("trusted_packages", "hydra.run.dir", "hydra.sweep.dir", "hydra.job.name", "trainer.replicas"),
    *("run", "input", "metric", "port", "prompt", "tags.x", "a.b.c.d", "x", "_target_", "hydra"),
)

FLAGS = (
    *(
        "--dry-run",
        "--model",
        "--epochs",
        "-m",
        "--cfg",
        "--help",
        "-h",
        "--config-dir",
        "--version",
    ),
    *("--config-name", "--config-path", "--info", "--resolve", "--package", "-x", "--", "-", "---"),
    *(
        "--hydra-help",
        "--multirun",
        "--run",
        "-c",
        "-p",
        "--experimental-rerun",
        "-1",
        "-model=lstm",
    ),
)

HAND = """
! model=null
! --dry-run
--model lstm
--epochs 3
--trainer.epochs=3
--trainer.epochs 3
-model=lstm
model lstm
model=
! model
lstm
dry-run
dry_run
! help
+experiment=motif
++experiment=motif
+model=lstm
++model=lstm
++x
+x
~model
~model=cnn1d
~trainer
~seed
~interpret
~nothing
~
~~seed
+tags.x
+tags.x=1
tags.x=1
model.hidden_size=3
model=rnn model.num_filters=3
model=lstm,rnn
model=[lstm,rnn]
model={a:1}
model=lstm model=rnn
model=1
model=true
model=1e5
model=../model/lstm dry_run=true
model=/etc/passwd
model=lstm.yaml dry_run=true
dataset=é
dataset=fasta
dataset=text dry_run=true
! dataset=text dataset.path=nowhere.csv
dataset=text dataset.path=.
dataset=text dataset.path=empty.csv
dataset=chars dataset.path=peaks.fa dry_run=true
dataset=chars dataset.path=nothing.txt
dataset.motif=nowhere.meme
dataset.motif=[]
dataset.motif=[1,2]
dataset.motif_names=x
dataset.length=3
dataset.num_train=0
dataset.num_train=1e3
dataset.num_train=-5
dataset.background=[1,2]
dataset.background=x
trainer.device=gpu
trainer.device=cuda:0
trainer.device=
trainer.epochs=three
trainer.epochs=0
trainer.epochs=1.5
trainer.epochs=1,2
trainer.epochs=[3]
trainer.epochs=null
trainer.epochs=99999999999999999999
trainer.epochs='3'
trainer.epochs="3"
trainer.epoch=3
trainer=x
trainer.x.y=3
trainer.bptt.k1=0
trainer.bptt=3
trainer.bptt=null dry_run=true
trainer.bptt.k2=3
trainer.batch_size=0
trainer.replicas=0
trainer.replicas=x
trainer.replicas=-1
-m trainer.replicas=2 seeds=x
! seeds=3
! dataset=chars model=rnn trainer=smoke decode.prompt=Q
seed=-1
seed=x
seed=1.0
seed=18446744073709551616
seed=0,1
seed=range(3)
seed=choice(1,2)
seed=
seed==1
=1
=
==
seed:1
seed =1
seed= x
'seed=1
optimizer.lr=x
optimizer.lr=-1
optimizer.lr=nan
optimizer.lr=inf
optimizer.lr=1e-3,1e-2
optimizer.betas=[1]
optimizer.betas=[1
optimizer.betas=[2,3]
optimizer.eps=[1
optimizer._target_=os.system
optimizer._target_=torch.optim.LBFGS
optimizer._target_=torch.hub.load
optimizer._target_=seqexp.kernels.build._output
optimizer._target_=
optimizer._target_=null
optimizer._target_=3
model._target_=seqexp.model.cnn1d
model._target_=seqexp.model.cnn1d.Nothing
model._target_=my_lab.Model
model._target_=my_lab.Model trusted_packages=[my_lab]
model._target_=broken_lab.Model trusted_packages=[broken_lab]
model._target_=raises_lab.Model trusted_packages=[raises_lab]
trusted_packages=x
trusted_packages=[1] dry_run=true
trusted_packages=null
optimized_metric=test/acc
optimized_metric=
optimized_metric=null
optimized_metric=[a]
experiment_name=3 trainer.epochs=x
experiment_name=[a]
experiment=nowhere
experiment=notebook
experiment=notebook/
experiment=motif.yaml
experiment=motif,hello
experiment=[motif,hello]
experiment
interpret=null
interpret=nothing
decode=null
decode=greedy decode.prompt=
decode.prompt=12
decode.prompt=[a]
launcher=slurm
! launcher=parallel
! -m launcher=slurm seed=0,1
-m launcher=ray seed=0,1
-m launcher=x seed=0,1
-m launcher.jobs=2 seed=0,1
! sweeper=optuna
sweeper.trials=3
! -m sweeper=optuna
-m sweeper=optuna sweeper.trials=3
-m sweeper=optuna optimizer.lr=interval(1,0)
-m sweeper=optuna optimizer.lr=interval(0,x)
-m optimizer.lr=interval(0,1)
-m seed=
-m seed=,
-m seed=0,
-m seed=range()
-m seed=range(0)
-m seed=choice()
-m seed=glob(*)
-m model=glob(x*)
-m model=lstm,nothing seed=0,1
-m model=lstm,null
-m model=lstm,rnn model.num_filters=3
! -m seed=0,1 trainer.epochs=x trainer.epoch=3
-m seeds=2 seed=1
-m seeds=0
-m force=true,false
-m dry_run=true,false
! --cfg
--cfg x
--cfg=job --info
--cfg job -m seed=0,1
--cfg job model=x
--info x
--resolve
! --package
--package x
--package x --cfg job
! --config-dir
--config-dir nowhere
--config-dir=nowhere
--config-dir peaks.fa
--config-dir mine
--config-dir mine experiment=nowhere
--config-dir mine experiment=no_package
--config-dir mine experiment=group_as_key
--config-dir mine experiment=no_override
--config-dir mine experiment=no_slash
--config-dir mine experiment=no_group
--config-dir mine experiment=no_option
--config-dir mine experiment=no_list
--config-dir mine experiment=tab
--config-dir mine experiment=twice
--config-dir mine experiment=a_list
--config-dir mine experiment=a_text
--config-dir mine experiment=empty
--config-dir mine experiment=dotted
--config-dir mine experiment=bytes
--config-dir mine experiment=unclosed
--config-dir mine experiment=anchor
--config-dir mine experiment=interpolation
--config-dir mine experiment=missing
--config-dir mine experiment=program
--config-dir mine experiment=tagged
--config-dir mine experiment=hydra_part
--config-dir mine experiment=wrong_value
--config-dir mine model=wide model.x=3
--config-dir mine model=list
--config-dir mine model=tab
--config-dir mine model=text
--config-dir mine/model model=wide
--config-path nowhere
--config-path mine
! --config-name
--config-name nowhere
--config-name mine/model/wide
--experimental-rerun x
--shell-completion
--version x
! --help=x
-h=3
--
! -
---
-1
3
""
paths.outputs=
paths.outputs=null
paths.outputs=3 trainer.epochs=x
paths.outputs=/proc/x
paths.outputs=peaks.fa
! paths.outputs=/dev/null/x
paths=x
paths.x=3
tracking=server
tracking.uri=x
tracking.uri=http://a:b@host
tracking=server tracking.uri=ftp://x
tracking=none tracking.uri=x
hydra=x
hydra.run=x
hydra.run.dir=/proc/x/y
hydra.x=3
hydra/launcher=x
hydra/sweeper=x
hydra.mode=x
hydra.job.num=x
hydra.verbose=x
hydra.job_logging.root.level=x
hydra.searchpath=[file://nowhere] seed=x
force=x
dry_run=1
dry_run=yes
dry_run=True seed=x
schedule=cosine schedule.x=1
schedule._target_=torch.optim.lr_scheduler.ReduceLROnPlateau
schedule._target_=os.system
gradient_flow.every_epochs=1
predict
predict help
predict --help me
predict run
predict run=
predict run=latest
predict run=latest input=
predict run=zz input=peaks.fa
predict run=latest input=peaks.fa paths.outputs=nowhere
predict run=latest input=peaks.fa batch_size=x
predict run=latest input=peaks.fa format=x
predict run=latest input=peaks.fa run=b
predict run=latest input=peaks.fa tracking.uri=x
predict run=latest input=peaks.fa tracking.uri=http://a:b@h
predict rnu=latest input=peaks.fa
predict --run latest
predict run=' input=-
sample
sample run=latest
sample run=latest prompt=
sample run=latest prompt=x length=0
sample run=latest prompt=x temperature=-1
compare
compare help me
compare runs=
compare runs=a
compare runs=a,b sweep=c
compare runs=a,b metric=test/acc
compare sweep=
reproduce
reproduce run=%
reproduce run=latest trusted=
reproduce run=latest paths.data=nowhere
ui port=x
ui port=0
ui port=99999
ui x
ui --port 3
deliver
deliver nowhere
deliver --x
deliver peaks.fa
"""
"""Wrong commands by hand; words are parted as a shell parts them, `""` is an empty one."""

FILES = {
    "peaks.fa": "".join(f">chr{i}:1-40\n{'ACGT' * 10}\n" for i in range(1, 10)),
    "texts.jsonl": "".join(f'{{"text": "day {i} good", "label": {i % 2}}}\n' for i in range(40)),
    "empty.csv": "",
    "broken_lab.py": "class Model(:\n",
    "raises_lab.py": "raise ValueError('no')\n",
    "mine/model/wide.yaml": "_target_: seqexp.model.cnn1d.CNN1D\nfilter_width: 25\n",
    "mine/model/list.yaml": "- a\n",
    "mine/model/tab.yaml": "a:\n\tb: 1\n",
    "mine/model/text.yaml": "hello\n",
    "mine/experiment/sound.yaml": "# @package _global_\nseed: 3\n",
    "mine/experiment/no_package.yaml": "defaults:\n  - override /model: rnn\n",
    "mine/experiment/group_as_key.yaml": "# @package _global_\nmodel: rnn\n",
    "mine/experiment/no_override.yaml": "# @package _global_\ndefaults:\n  - /model: rnn\n",
    "mine/experiment/no_slash.yaml": "# @package _global_\ndefaults:\n  - override model: rnn\n",
    "mine/experiment/no_group.yaml": "# @package _global_\ndefaults:\n  - override /modle: rnn\n",
    "mine/experiment/no_option.yaml": "# @package _global_\ndefaults:\n  - override /model: rm\n",
    "mine/experiment/no_list.yaml": "# @package _global_\ndefaults:\n  override /model: rnn\n",
    "mine/experiment/tab.yaml": "# @package _global_\nmodel:\n\tinit: x\n",
    "mine/experiment/twice.yaml": "# @package _global_\nseed: 1\nseed: 2\n",
    "mine/experiment/a_list.yaml": "# @package _global_\n- a\n- b\n",
    "mine/experiment/a_text.yaml": "hello\n",
    "mine/experiment/empty.yaml": "",
    "mine/experiment/dotted.yaml": "# @package _global_\nmodel.num_filters: 3\n",
    "mine/experiment/bytes.yaml": "# @package _global_\nexperiment_name: \udcff\n",
    "mine/experiment/unclosed.yaml": "# @package _global_\nmodel: {init: 'x\n",
    "mine/experiment/anchor.yaml": "# @package _global_\nmodel: *nothing\n",
    "mine/experiment/interpolation.yaml": "# @package _global_\nexperiment_name: ${nothing.here}\n",
    "mine/experiment/missing.yaml": "# @package _global_\nexperiment_name: ???\n",
    "mine/experiment/program.yaml": (
        "# @package _global_\nmodel:\n  _target_: seqexp.kernels.build._output\n"
        "  command: [touch, ran]\n"
    ),
    "mine/experiment/tagged.yaml": "# @package _global_\nx: !!python/object:os.system [touch]\n",
    "mine/experiment/hydra_part.yaml": "# @package _global_\nhydra: 3\n",
    "mine/experiment/wrong_value.yaml": "# @package _global_\ntrainer: {epochs: x}\n",
}
"""What is in the folder of each command."""


@dataclass(frozen=True)
class Outcome:
    """What came of a command."""

    command: tuple[str, ...]
    status: int
    said: str
    seconds: float
    left: tuple[str, ...]

    @property
    def faults(self) -> list[str]:
        """In what way it did not keep to the rules."""
        wrong = []
        if "Traceback (most recent call last)" in self.said:
            wrong.append("traceback")
        if self.seconds > SECONDS or self.status == -signal.SIGKILL:
            wrong.append("hangs")
        if self.status not in (REFUSED, FINISHED):
            wrong.append(f"status {self.status}")
        if self.status == REFUSED and not self.said.strip():
            wrong.append("no message")
        if self.left:
            wrong.append(f"left {', '.join(self.left)}")
        return wrong


def hand_made() -> list[tuple[str, ...]]:
    """The wrong commands of `HAND`; all but those with a `!` are dry runs, as some are right."""
    found = []
    for line in HAND.strip("\n").split("\n"):
        words = tuple(_words(line.removeprefix("! ")))
        is_dry = words[0] in COMMANDS or line.startswith("!") or "dry_run" in line
        found.append(words if is_dry else (*words, "dry_run=true"))
    return found


def _words(line: str) -> Iterator[str]:
    for word in line.split(" "):
        yield "" if word == '""' else word


def at_random(count: int, seed: int) -> list[tuple[str, ...]]:
    """Valid commands with one to three changes each."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        words = [*draw.choice(VALID)]
        for _ in range(draw.randint(1, 3)):
            words = _changed(words, draw)
        is_run = not words or words[0] not in COMMANDS
        dry = ["dry_run=true"] if is_run and "dry_run=true" not in words else []
        found.append((*words, *dry))
    return found


def _changed(words: list[str], draw: random.Random) -> list[str]:
    first = 1 if words and words[0] in COMMANDS else 0
    place = draw.randint(first, max(first, len(words) - 1))
    word = words[place] if place < len(words) else "seed=0"
    key, equals, value = word.partition("=")
    kind = draw.randrange(9)
    if kind == 0:
        return [*words[:place], f"{key}={draw.choice(VALUES)}", *words[place + 1 :]]
    if kind == 1:
        return [*words, f"{draw.choice(KEYS)}={draw.choice(VALUES)}"]
    if kind == 2:
        return [*words[:place], draw.choice(FLAGS), *words[place:]]
    if kind == 3:
        spot = draw.randint(0, len(word))
        changed = word[:spot] + draw.choice(SIGNS) + word[spot:]
        return [*words[:place], changed, *words[place + 1 :]]
    if kind == 4 and word:
        spot = draw.randrange(len(word))
        return [*words[:place], word[:spot] + word[spot + 1 :], *words[place + 1 :]]
    if kind == 5:
        return [*words[:place], *words[place + 1 :]]
    if kind == 6:
        return [
            *words[:place],
            f"{draw.choice(['+', '++', '~', '-', '--'])}{word}",
            *words[place + 1 :],
        ]
    if kind == 7:
        return [*words, f"{key}{equals}{value}"]
    return [*words[:place], f"{draw.choice(KEYS)}{equals}{value}", *words[place + 1 :]]


# --- running them -----------------------------------------------------------------------------


def prepare() -> None:
    """Import in this process what its forks need."""
    import mlflow  # noqa: F401
    import torch

    torch.set_num_threads(1)
    import hydra.main  # noqa: F401
    from hydra import compose, initialize_config_dir

    import seqexp.cli.compare
    import seqexp.cli.main
    import seqexp.cli.predict
    import seqexp.cli.reproduce
    import seqexp.cli.sample
    import seqexp.cli.ui
    import seqexp.run  # noqa: F401
    import seqexp.sweep.dry_run
    from seqexp.cli.words_of_errors import explain  # noqa: F401
    from seqexp.config.check import check

    sys.path.append(str(Path(seqexp.__file__).parent / "sweep" / "plugin"))  # as for -m
    with initialize_config_dir(str(seqexp.config.groups.CONF), version_base="1.3"):
        check(compose("config"))  # what the first composition of a process sets up
    gc.freeze()  # what is there already is not looked through in each fork


def outcome(command: Sequence[str]) -> Outcome:
    """Run a command in a fork, in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in FILES.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8", errors="surrogateescape")
        before = _files(folder)
        began = time.monotonic()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _run(command, folder, writing)
        os.close(writing)
        said = _read(reading, began + PATIENCE * SECONDS, child)
        _, status, used = os.wait4(child, 0)
        seconds = used.ru_utime + used.ru_stime  # a loaded machine makes any command wait
        left = tuple(sorted(_files(folder) - before))
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        code = os.waitstatus_to_exitcode(status)
        return Outcome(tuple(command), code, said, seconds, left if code == REFUSED else ())


def _files(folder: Path) -> set[str]:
    ignored = ("__pycache__",)
    found = folder.rglob("*")
    return {
        str(path.relative_to(folder))
        for path in found
        if not set(path.relative_to(folder).parts) & {*ignored}
    }


def _run(command: Sequence[str], folder: Path, writing: int) -> None:
    """As `python -m seqexp` does it; never returns."""
    os.setpgid(0, 0)
    status = 1
    try:
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", buffering=1)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1)
        os.environ.pop("HYDRA_FULL_ERROR", None)
        os.environ.pop("SEQEXP_OUTPUTS", None)
        sys.path.insert(0, str(folder))
        sys.argv = ["python -m seqexp", *command]
        status = _status()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(status)


def _status() -> int:
    from seqexp.__main__ import main

    try:
        main()
        return 0
    except SystemExit as error:
        if isinstance(error.code, int) or error.code is None:
            return int(error.code or 0)
        print(error.code, file=sys.stderr)
        return 1


def _read(reading: int, until: float, child: int) -> str:
    """What a command says, until it ends or its time is over."""
    said = b""
    while True:
        left = until - time.monotonic()
        ready, _, _ = select.select([reading], [], [], max(0.0, left))
        if not ready:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            time.sleep(0.1)
            break
        block = os.read(reading, 65536)
        if not block:
            break
        said = (said + block)[-200_000:]
    os.close(reading)
    return said.decode("utf-8", errors="replace")


def main() -> int:
    """Run them all; one line for each that is at fault, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--random", type=int, default=400)
    parser.add_argument("--hand", type=int, default=len(hand_made()), help="drawn of those by hand")
    parser.add_argument("--only", default="")
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--verbose", action="store_true")
    given = parser.parse_args()
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    prepare()
    by_hand = hand_made()
    if given.hand < len(by_hand):
        by_hand = random.Random(given.seed).sample(by_hand, given.hand)
    commands = [*by_hand, *at_random(given.random, given.seed)]
    commands = [command for command in commands if given.only in " ".join(command)]
    commands = commands[given.first :]
    bad = refused = finished = 0
    slowest = 0.0
    for command in commands:
        found = outcome(command)
        refused += found.status == REFUSED
        finished += found.status == FINISHED
        slowest = max(slowest, found.seconds)
        if found.faults:
            bad += 1
            told = "; ".join(found.faults)
            print(f"FAULT {command!r}: {told}\n{found.said[-1500:]}\n", flush=True)
        elif given.verbose:
            told = found.said.strip()[-600:]
            print(f"{found.status} {command!r} {found.seconds:.1f} s\n    {told}", flush=True)
    print(
        f"{len(commands)} commands ({len(by_hand)} by hand): {refused} refused, {finished}"
        f" happened to be right, {bad} at fault; the slowest took {slowest:.1f} s"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
