"""`python -m seqexp sample`: what the model writes, as `decode=sample` has it."""

from pathlib import Path

import pytest
from training import train

from seqexp.cli.subcommand import run_command

COMMAND = "sample"

HELLO = (
    "dataset.text=hello",
    "dataset.batch_size=1",
    "dataset.valid_share=0.0",
    "dataset.test_share=0.0",
    "model.hidden_size=8",
    "optimizer.lr=0.03",
    "trainer.epochs=150",
    "trainer.test_weights=last",
    "optimized_metric=test/loss_nats",
)
"""The text is learned by heart."""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with a run that has learned to write, and a later one that classifies."""
    folder = tmp_path_factory.mktemp("outputs")
    written = train(folder, "dataset=chars", "model=rnn", "decode=none", *HELLO)
    (folder / "writer").write_text(str(written.run_id))
    train(folder, "dataset.num_train=20")
    return folder


def writer_of(outputs: Path) -> str:
    """Id of the run whose model writes."""
    return (outputs / "writer").read_text()


def test_the_most_probable_text_is_what_was_learned(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [f"run={writer_of(outputs)[:8]}", f"paths.outputs={outputs}", "prompt=h", "length=4"]
    assert run_command(COMMAND, [*given, "temperature=0"]) == 0
    assert capsys.readouterr().out == "hello\n"


def test_the_seed_decides_what_is_drawn(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [f"run={writer_of(outputs)}", f"paths.outputs={outputs}", "prompt=hel", "length=60"]
    texts = []
    for seed in (0, 0, 1):
        assert run_command(COMMAND, [*given, f"seed={seed}", "temperature=5"]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]
    assert all(text.startswith("hel") and len(text) == 64 for text in texts)


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("hex", "prompt is 'hex': 'hex' has 'x' at position 3; known are e, h, l, o"),
        ("", "prompt is empty; give at least one of the symbols e, h, l, o"),
    ],
)
def test_a_prompt_that_the_model_cannot_read_is_refused(
    outputs: Path, capsys: pytest.CaptureFixture[str], prompt: str, says: str
) -> None:
    given = [f"run={writer_of(outputs)}", f"paths.outputs={outputs}", f"prompt={prompt}"]
    assert run_command(COMMAND, given) == 2
    assert says in capsys.readouterr().err


def test_a_model_that_classifies_is_refused(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["run=latest", f"paths.outputs={outputs}", "prompt=ACGT"]
    assert run_command(COMMAND, given) == 2
    says = capsys.readouterr().err
    assert "tells background, motif apart and does not write" in says


def test_a_model_that_reads_a_context_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ("dataset.num_made=20", "model.hidden_size=4", "decode=none")
    train(tmp_path, "dataset=pairs", "model=lstm", *small)
    assert run_command(COMMAND, ["run=latest", f"paths.outputs={tmp_path}", "prompt=4"]) == 2
    says = capsys.readouterr().err
    assert "writes a target for what it reads" in says and "seqexp predict" in says
