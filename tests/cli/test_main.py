"""The command as a person runs it: exit status, what is said, what is left."""

import re
import signal
import sqlite3
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from conftest import ROOT, Command

from seqexp import __main__ as entry
from seqexp.cli.arguments import forgiving

QUICK = ("trainer=smoke", "dataset.num_train=50", "interpret.every_epochs=null")


def test_the_command_trains_records_and_says_where_to_look(seqexp: Command, tmp_path: Path) -> None:
    done = seqexp(*QUICK)
    assert done.returncode == 0, done.stderr
    assert re.search(r"epoch 2/2 +train/loss_nats [\d.]+ +valid/loss_nats [\d.]+", done.stdout)
    run_id = re.search(r"run id +([0-9a-f]{32})", done.stdout)
    assert run_id
    assert f"sqlite:///{tmp_path}/outputs/mlflow.db" in done.stdout
    assert f"runs/{run_id[1]}" in done.stdout
    assert (
        tmp_path / "outputs/mlartifacts" / run_id[1] / "artifacts/filters/filters.png"
    ).is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outputs"]
    with sqlite3.connect(tmp_path / "outputs/mlflow.db") as database:
        assert database.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)]
    database.close()
    assert done.stderr == ""


def test_tracking_none_writes_nothing(seqexp: Command, tmp_path: Path) -> None:
    done = seqexp(*QUICK, "tracking=none")
    assert done.returncode == 0 and "test/accuracy" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_outputs_go_where_they_are_sent(seqexp: Command, tmp_path: Path) -> None:
    done = seqexp(*QUICK, SEQEXP_OUTPUTS=str(tmp_path / "mine"))
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]
    assert (tmp_path / "mine/mlflow.db").is_file()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["modle=cnn1d"], r"modle: unknown; did you mean model\?"),
        (["model=cnn"], r"model=cnn: there is no such option; did you mean cnn1d\?"),
        (["model.num_filter=3"], r"model.num_filter: unknown; did you mean num_filters\?"),
        (["+epoch=3"], r"epoch: unknown; did you mean trainer.epochs\?"),
        (["trainer.epochs=three"], "trainer.epochs is 'three'; give an integer"),
        (["trainer.epochs=-1"], "trainer.epochs is -1; give an integer from 1"),
        (["trainer.epochs=1,2"], "trainer.epochs=1,2: several values are for a sweep; add -m"),
        (["dataset.motif=nowhere.meme"], "nowhere.meme: there is no such file"),
        (
            ["model.num_filters=65536", "model.filter_width=65536", "tracking=none"],
            "model: its weights do not fit into memory",
        ),
        (["trainer.device=cuda"], "trainer.device is cuda, but PyTorch sees no GPU"),
        (["optimizer.eps=[1"], r"optimizer.eps is '\[1'; give a number at least 0"),
        (["model=lstm,rnn"], "model=lstm,rnn: several options are for a sweep; add -m"),
        (["seeds=3"], "seeds is 3, which is for a sweep; add -m"),
    ],
)
def test_a_wrong_config_ends_with_status_2_and_no_traceback(
    seqexp: Command, tmp_path: Path, arguments: list[str], says: str
) -> None:
    if arguments == ["trainer.device=cuda"]:
        import torch

        if torch.cuda.is_available():
            pytest.skip("there is a GPU")
    done = seqexp(*arguments)
    assert done.returncode == 2
    assert re.search(says, done.stderr), done.stderr
    assert "Traceback" not in done.stderr and "HYDRA_FULL_ERROR" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_all_mistakes_are_told_at_once(seqexp: Command) -> None:
    done = seqexp("model.num_filter=3", "trainer.epoch=2", "optimizer.lr=-1", "dataset.length=3")
    assert done.returncode == 2 and "4 faults" in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("  ")]) == 4


def test_an_outputs_folder_that_cannot_be_written_is_named(seqexp: Command, tmp_path: Path) -> None:
    (tmp_path / "a_file").write_text("not a folder")
    for place in (tmp_path / "a_file", "/proc/nowhere"):
        done = seqexp(*QUICK, f"paths.outputs={place}")
        assert done.returncode == 2
        assert f"{place}" in done.stderr and "cannot be written" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_corrupt_database_ends_with_status_2(seqexp: Command, tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs/mlflow.db").write_bytes(b"garbage")
    done = seqexp(*QUICK)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"{tmp_path}/outputs/mlflow.db: is not a sound MLflow database" in done.stderr


def test_a_diverging_run_ends_with_status_1_and_its_reason(seqexp: Command) -> None:
    explode = ("model.activation=linear", "optimizer=sgd", "optimizer.lr=1000")
    done = seqexp(*QUICK, *explode, "optimizer.momentum=0.99", "trainer.epochs=50", "tracking=none")
    assert done.returncode == 1
    assert re.search(r"seqexp: .* at epoch \d+, batch \d+.*the step was not taken", done.stderr)
    assert "Traceback" not in done.stderr


def test_hello_is_learned_to_certainty_and_its_table_is_printed(
    seqexp: Command, tmp_path: Path
) -> None:
    done = seqexp("experiment=hello")
    assert done.returncode == 0, done.stderr
    assert "temperature 0 ---\nhello\n" in done.stdout
    table = done.stdout.partition("probability of the next symbol\n")[2].splitlines()[:5]
    assert table[0].split() == ["after", "e", "h", "l", "o"]
    rows = [line.split() for line in table[1:]]
    assert [row[0] for row in rows] == list("hell")
    for row, expected in zip(rows, "ello", strict=True):
        assert float(row[1 + "ehlo".index(expected)]) > 0.95
    run_id = re.search(r"run id +([0-9a-f]{32})", done.stdout)
    assert run_id
    samples = tmp_path / "outputs/mlartifacts" / run_id[1] / "artifacts/samples"
    assert {path.name for path in samples.iterdir()} == {
        "all.txt",
        "epoch_0100.txt",
        "epoch_0200.txt",
        "epoch_0300.txt",
        "final.txt",
        "probabilities.json",
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["dataset.num_chars=500000"],
            "trainer.bptt.k1 is null.* 14,06. tokens.* give trainer=tbptt",
        ),
        (["decode.prompt=Q"], "decode.prompt: 'Q' has 'Q' at position 1; known are"),
    ],
)
def test_texts_and_prompts_that_cannot_work_end_with_status_2(
    seqexp: Command, tmp_path: Path, arguments: list[str], says: str
) -> None:
    done = seqexp("dataset=chars", "model=rnn", "trainer=smoke", *arguments)
    assert done.returncode == 2
    assert re.search(says, done.stderr), done.stderr
    assert not (tmp_path / "outputs/mlflow.db").exists()


def test_ctrl_c_ends_with_status_130_and_keeps_what_was_measured(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "seqexp", "trainer.epochs=100000", "interpret=none"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # a shell that starts the tests in its background has them ignore Ctrl-C, and their children
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, cwd=tmp_path, preexec_fn=heed, **pipes)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch      3/"):
                break
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert errors.strip() == "seqexp: interrupted"
    with sqlite3.connect(tmp_path / "outputs/mlflow.db") as database:
        assert database.execute("SELECT status FROM runs").fetchall() == [("KILLED",)]
        query = "SELECT count(*) FROM metrics WHERE key = 'valid/loss_nats'"
        assert database.execute(query).fetchone()[0] >= 3
    database.close()


def test_help_is_for_people_and_lists_the_groups(seqexp: Command) -> None:
    done = seqexp("--help")
    assert done.returncode == 0
    assert "python -m seqexp -m model.num_filters=1,8 seed=0,1" in done.stdout
    groups = [f for f in (ROOT / "conf").iterdir() if f.is_dir() and f.name != "hydra"]
    assert len(groups) > 5
    for folder in groups:
        options = sorted(file.stem for file in folder.glob("*.yaml"))
        assert f"{folder.name}: {', '.join(options)}" in done.stdout
    texts = [line for line in done.stdout.splitlines() if not line.startswith("experiment: ")]
    assert max(map(len, texts)) < 120  # of experiments there are as many as there are


def test_help_lists_configs_of_the_users_own(seqexp: Command, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").touch()
    lines = seqexp("--config-dir", str(tmp_path), "--help").stdout.splitlines()
    (models,) = (line for line in lines if line.startswith("model: "))
    assert "cnn1d, " in models and ", mine, " in models


def test_only_plain_keys_are_let_into_the_composition() -> None:
    given = ["model=cnn1d", "model.num_filters=3", "+x=1", "~y", "hydra.run.dir=a", "--cfg", "job"]
    assert forgiving(given) == [
        "model=cnn1d",
        "++model.num_filters=3",
        "+x=1",
        "~y",
        "hydra.run.dir=a",
        "--cfg",
        "job",
    ]
    assert forgiving(["seed=1", "-m"]) == ["-m", "++seed=1"]


def test_groups_of_a_users_folder_are_groups(seqexp: Command, tmp_path: Path) -> None:
    (tmp_path / "mine/model").mkdir(parents=True)
    (tmp_path / "mine/model/wide.yaml").write_text(
        "_target_: seqexp.model.cnn1d.CNN1D\nfilter_width: 25\n"
    )
    done = seqexp("--config-dir", "mine", "model=wide", "--cfg", "job")
    assert done.returncode == 0 and "filter_width: 25" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_run_that_is_refused_when_its_data_are_there_leaves_nothing(
    seqexp: Command, tmp_path: Path
) -> None:
    done = seqexp("dataset=chars", "model=rnn", "trainer=smoke", "decode.prompt=Q")
    assert done.returncode == 2 and "decode.prompt: 'Q'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_while_modules_are_imported_leaves_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupting:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "seqexp.cli.main":
                raise KeyboardInterrupt

    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    monkeypatch.setattr(sys, "argv", ["seqexp"])
    monkeypatch.delitem(sys.modules, "seqexp.cli.main", raising=False)
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "seqexp: interrupted\n"
