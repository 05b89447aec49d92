"""What is wrong with files of configs is told with the file and the line."""

from pathlib import Path

import pytest
import yaml

from seqexp.cli.words_of_errors import Origins, explain, form_faults
from seqexp.config.groups import CONF
from seqexp.errors import ConfigError

HEAD = "# @package _global_\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed: 3\n", "begins without '# @package _global_'; write that as its first line"),
        (f"{HEAD}model: rnn\n", "line 2: model is rnn; write it in the list of defaults, as '- ov"),
        (f"{HEAD}defaults:\n  - /model: rnn\n", "line 3: /model: rnn: model is chosen already"),
        (f"{HEAD}defaults:\n  - override model: rnn\n", "write '- override /model: rnn'"),
        (f"{HEAD}defaults:\n  - override /modle: rnn\n", "no group modle; did you mean model?"),
        (f"{HEAD}defaults:\n  override /model: rnn\n", "line 3: defaults has to be a list"),
        (f"{HEAD}model:\n\tinit: x\n", "line 3: a tab indents here; YAML takes blanks only"),
        (f"{HEAD}model:\n  init: x\n  init: y\n", "line 4: model.init stands twice"),
        (f"{HEAD}- a\n", "is a list; write lines of KEY: VALUE"),
        (f"{HEAD}model.init: x\n", "line 2: model.init has a dot; write it as model: {init: ...}"),
        (f"{HEAD}seed: [1\n", "line 3: expected"),
    ],
)
def test_an_experiment_of_another_form_is_told_with_its_line(
    tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    faults = form_faults(tmp_path / "mine.yaml")
    assert any(says in fault for fault in faults), faults
    assert all(fault.startswith(str(tmp_path / "mine.yaml")) for fault in faults)


def test_our_experiments_have_that_form() -> None:
    files = sorted((CONF / "experiment").rglob("*.yaml"))
    assert len(files) > 5
    assert [fault for file in files for fault in form_faults(file)] == []


def test_a_fault_names_the_file_that_sets_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for group, text in (("model", "_target_: x\ninit: 3\n"), ("experiment", f"{HEAD}seed: x\n")):
        (tmp_path / "mine" / group).mkdir(parents=True)
        (tmp_path / "mine" / group / "own.yaml").write_text(text)
    typed = ["--config-dir", "mine", "model=own", "experiment=own", "trainer.epochs=x"]
    faults = ["seed is 'x'; a", "model.init is 3; b", "trainer.epochs is 'x'; c", "paths.data is 1"]
    said = explain(ConfigError([*faults, "dataset.seed is 'x'; d"]), typed).splitlines()
    assert said == [
        "the configuration has 4 faults; nothing was started",
        "  seed is 'x'; a   (set in mine/experiment/own.yaml)",
        "  model.init is 3; b   (set in mine/model/own.yaml)",
        "  trainer.epochs is 'x'; c",
        "  paths.data is 1   (set in seqexp's conf/config.yaml)",
    ]


def test_the_file_of_a_key_is_that_of_the_option_an_experiment_chooses() -> None:
    origins = Origins(["experiment=hello"])
    assert origins.file("decode.prompt") == CONF / "experiment/hello.yaml"
    assert origins.file("dataset.train_share") != CONF / "dataset/motif.yaml"
    assert Origins([]).file("trainer.epochs") == CONF / "trainer/default.yaml"
    assert Origins(["trainer=smoke"]).file("trainer.batch_size") == CONF / "trainer/default.yaml"
    assert Origins([]).file("nothing.known") is None


def test_a_file_that_is_no_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "wide.yaml"
    file.write_text("a:\n\tb: 1\n")
    with file.open() as stream, pytest.raises(yaml.YAMLError) as raised:
        yaml.safe_load(stream)
    assert explain(raised.value) == (
        f"{file}, line 2, column 1: a tab indents here; YAML takes blanks only"
    )
