"""Single sequences of the test on the page: what they cost, and which went worst."""

from pathlib import Path

import pytest
import torch
from training import train

from seqexp.callback.outcome import by_class, costs, intervals, worst_of
from seqexp.spec import NO_SYMBOLS, Features, Output, TaskSpec, Vocabulary

LETTERS = Vocabulary(tuple("ACGT"))


def test_a_class_costs_what_it_was_not_expected() -> None:
    spec = TaskSpec(LETTERS, 2, Output.SEQUENCE_CLASS, ("no", "yes"))
    logits = torch.tensor([[0.0, 2.0], [0.0, 2.0]])
    kept = {"logits": logits, "targets": torch.tensor([[1], [0]]), "numbers": torch.arange(2)}
    wanted = torch.nn.functional.cross_entropy(logits, torch.tensor([1, 0]), reduction="none")
    assert costs(spec, kept).tolist() == pytest.approx(wanted.tolist())
    found = intervals(spec, kept)
    assert found["accuracy"][0] < 0.5 < found["accuracy"][1] and "auroc" not in found


def test_labels_and_numbers_that_are_missing_cost_nothing() -> None:
    spec = TaskSpec(LETTERS, 2, Output.MULTI_LABEL, ("a", "b"))
    targets = torch.tensor([[1, -100], [0, 1]])
    kept = {"logits": torch.zeros(2, 2), "targets": targets, "numbers": torch.arange(2)}
    assert costs(spec, kept).tolist() == pytest.approx([0.6931, 0.6931], abs=1e-4)
    spec = TaskSpec(NO_SYMBOLS, 1, Output.REGRESSION, ("x",), features=Features(1, ("f",)))
    numbers = torch.tensor([[1.0], [float("nan")], [3.0]])
    kept = {"logits": torch.zeros(3, 1), "targets": numbers, "numbers": torch.arange(3)}
    assert costs(spec, kept).tolist() == pytest.approx([1, 0, 3])
    low, high = intervals(spec, kept)["mse"]
    assert low < 5 < high


def test_each_class_has_its_precision_and_recall() -> None:
    spec = TaskSpec(LETTERS, 3, Output.SEQUENCE_CLASS, ("a", "b", "c"))
    said = torch.nn.functional.one_hot(torch.tensor([0, 0, 1, 1]), 3) * 5.0
    kept = {"logits": said, "targets": torch.tensor([[0], [0], [0], [1]])}
    kept["numbers"] = torch.tensor([4, 5, 6, 7])
    first, second, third = by_class(spec, kept)
    assert [*first.values()] == ["a", 3, 2, 1.0, 2 / 3, 0.8]
    assert [*second.values()] == ["b", 1, 2, 0.5, 1.0, 2 / 3]
    assert [*third.values()] == ["c", 0, 0, "-", "-", "-"]
    assert worst_of(spec, kept) == 6  # the only one that is wrong


def test_each_label_is_counted_where_it_is_known() -> None:
    spec = TaskSpec(LETTERS, 2, Output.MULTI_LABEL, ("a", "b"))
    targets = torch.tensor([[1, -100], [0, 1]])
    kept = {"logits": torch.tensor([[2.0, 2.0], [2.0, -1.0]]), "targets": targets}
    first, second = by_class(spec, kept)
    assert [*first.values()] == ["a", 1, 2, 0.5, 1.0, 2 / 3]
    assert [*second.values()] == ["b", 1, 0, "-", 0.0, 0.0]
    numbers = TaskSpec(LETTERS, 2, Output.REGRESSION, ("a", "b"))
    assert by_class(numbers, kept) == []


def test_one_text_is_no_sample_of_texts() -> None:
    spec = TaskSpec(LETTERS, 5, Output.NEXT_TOKEN, ("", *"ACGT"))
    kept = {
        "logits": torch.zeros(3, 5),
        "targets": torch.ones(3, 1, dtype=torch.long),
        "numbers": torch.zeros(3, dtype=torch.long),
    }
    assert intervals(spec, kept) == {}


@pytest.mark.parametrize(
    ("overrides", "shown"),
    [
        (
            ("experiment=hello", "decode.length=5"),
            ("What it writes", "the next symbol", "hidden states"),
        ),
        (
            ("dataset=tagging", "dataset.num_made=40", "model=lstm"),
            (
                "Where it is most wrong",
                "a class of each position",
                "95 % interval",
                "class by class",
            ),
        ),
        (
            ("dataset=pairs", "model=lstm", "dataset.num_made=60", "trainer.epochs=1"),
            ("is written without a fault", "of what belongs to a context", "<th>target</th>"),
        ),
    ],
)
def test_every_run_has_a_page(
    overrides: tuple[str, ...], shown: tuple[str, ...], tmp_path: Path
) -> None:
    result = train(tmp_path, *overrides)
    page = tmp_path / "mlartifacts" / str(result.run_id) / "artifacts" / "report.html"
    text = page.read_text(encoding="utf-8")
    assert f"python -m seqexp {' '.join(overrides)}" in text
    for words in (*shown, "What differs from the defaults", "What it took", "training"):
        assert words in text
