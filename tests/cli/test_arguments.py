"""Words of the command line that are wrong are told in the words of who typed them."""

import re
from pathlib import Path

import pytest

from seqexp.cli.arguments import MODES, prepared, refuse_words
from seqexp.config.groups import CONF
from seqexp.errors import InputError


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["--dry-run"], "--dry-run: there is no such flag; did you mean dry_run=true?"),
        (["--model", "lstm"], "--model lstm: .* did you mean model=lstm?"),
        (["--epochs", "3"], "--epochs 3: .* did you mean trainer.epochs=3?"),
        (["--trainer.epochs=3"], "did you mean trainer.epochs=3?"),
        (["-model=lstm"], "-model=lstm: .* did you mean model=lstm?"),
        (["--batch-size", "8"], "did you mean trainer.batch_size=8?"),
        (["--learning_rate=1e-3"], "did you mean optimizer.lr=1e-3?"),
        (["model", "lstm"], "model lstm: cannot be read; .* did you mean model=lstm?"),
        (["lstm"], "lstm: cannot be read; write model=lstm"),
        (["dry-run"], "did you mean dry_run=true?"),
        (["help"], "did you mean --help?"),
        (["seed=1", "predict"], "stands first; see python -m seqexp predict --help"),
        (["predic", "run=latest"], "predic: there is no such command; did you mean predict?"),
        (["repoduce"], "did you mean reproduce?"),
        (["+experiment=motif"], "write experiment=motif"),
        (["++model=lstm"], "write model=lstm"),
        (["++x"], r"\+\+x: cannot be read; write KEY=VALUE"),
        (["~model"], "a run needs its model; write model=NAME, one of cnn1d, kneser"),
        (["~interpret"], "a run needs its interpret; write interpret=none"),
        (["~seed"], "a run needs its seed"),
        (["model=null"], "model=null: there is no such option; give one of cnn1d"),
        (["interpret=null"], "interpret=null: .* write interpret=none"),
        (["-m", "model=lstm,null"], "model=lstm,null: there is no such option"),
        (["model=lstm", "model=rnn"], "model: stands 2 times"),
        (["=3"], "'' is no key"),
        (["seed:1"], "seed:1: cannot be read"),
        (
            ["--config-dir", "nowhere"],
            r"--config-dir nowhere: there is no such folder \(looked",
        ),
        (["--config-dir"], "give the folder"),
        (["--config-path", "x"], "give yours as --config-dir x"),
        (["--cfg", "x"], "give one of job, hydra, all"),
        (["--cfg", "job", "-m"], "--cfg and -m: give one of them"),
        (["--multirun=3"], "takes no value"),
        (["--experimental-rerun", "x"], "there is no such flag"),
        (["dataset.path=\udcff"], "is not text in UTF-8"),
    ],
)
def test_a_wrong_word_is_told_with_what_was_meant(line: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says.replace("?", r"\?")):
        refuse_words(line)


def test_all_wrong_words_are_told_at_once() -> None:
    with pytest.raises(InputError) as raised:
        refuse_words(["--epochs", "3", "~model", "lstm"])
    assert len(str(raised.value).splitlines()) == 4


@pytest.mark.parametrize(
    "line",
    [
        [],
        ["-m", "seed=0,1", "model=lstm,rnn"],
        ["--cfg", "job", "model=rnn"],
        ["--cfg=job", "--resolve"],
        ["--info", "defaults"],
        ["--info"],
        ["--help"],
        ["-h"],
        ["--config-dir", str(CONF), "experiment=motif"],
        ["hydra.run.dir=x", "hydra/launcher=joblib", "+x=3", "~trainer.clip_norm"],
        ["experiment=notebook/motif", "x.y=3"],
        ["-sc", "query=bash"],
        ["dataset.path=a=b", "decode.prompt=--x"],
    ],
)
def test_sound_words_are_left_alone(line: list[str]) -> None:
    refuse_words(line)


def test_every_mode_is_a_flag() -> None:
    for flag in MODES:
        after = {"--cfg": ["job"], "-c": ["job"], "-sc": ["query=bash"]}
        after["--shell-completion"] = ["install=bash"]
        refuse_words([flag, *after.get(flag, [])])


def test_no_experiment_is_the_default() -> None:
    assert prepared(["experiment=null", "seed=1"]) == ["++seed=1"]


def test_a_message_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        refuse_words(["--prompt", "it's $(touch x)"])
    assert re.search(r"did you mean 'decode.prompt=it'\"'\"'s \$\(touch x\)'\?", str(raised.value))
