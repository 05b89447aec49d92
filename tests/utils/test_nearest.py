"""The name that was meant."""

import pytest

from seqexp.utils.nearest import CLOSE_OPTION, nearest


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("trials", ["trial", "n_trials"], "n_trials"),
        ("hidden_size", ["num_filters", "hidden_layers", "readout"], "hidden_layers"),
        ("epoch", ["seed", "trainer.epochs"], "trainer.epochs"),
        ("dry-run", ["force", "dry_run"], "dry_run"),
        ("test/acc", ["test/auroc", "test/accuracy"], "test/accuracy"),
        ("filters", ["filter_width", "num_filters"], "num_filters"),
        ("gpu", ["auto", "cpu", "cuda"], "cuda"),
        ("tags", ["optimizer.betas", "seed"], None),
        ("", ["seed"], None),
    ],
)
def test_whole_words_come_before_letters(name: str, known: list[str], meant: str | None) -> None:
    assert nearest(name, known) == meant


def test_among_a_few_options_less_is_near() -> None:
    assert nearest("rnm", ["lstm", "rnn"]) is None
    assert nearest("rnm", ["lstm", "rnn"], CLOSE_OPTION) == "rnn"
