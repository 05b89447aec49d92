"""The table of all predictions of the test."""

import csv
import io
from dataclasses import replace

import pytest
import torch
from forms import ANY_MODEL, model_of
from kinds import data_of

from seqexp.callback.tested import Part, parts_of_test, write_table
from seqexp.data import Data
from seqexp.optimizer.schedule import constant
from seqexp.spec import Output, is_scored
from seqexp.task import kinds
from seqexp.trainer.loop import fit
from seqexp.trainer.predicted import Predicted
from seqexp.trainer.settings import Settings
from seqexp.trainer.training import Training


class Run:
    """What the table asks of a run."""

    def __init__(self, data: Data, limit: int) -> None:
        torch.manual_seed(0)
        model = model_of("lstm", data.spec)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        settings = Settings(epochs=1, batch_size=8, eval_batch_size=10)
        task = kinds.of(data.spec)
        cpu = torch.device("cpu")
        self.training = Training(model, optimizer, constant(optimizer), settings, 0, cpu, task)
        self.training.predicted = Predicted(limit)
        self.data = data
        *_, last = fit(self.training, data)
        self.metrics = last.metrics


def rows_of(data: Data, limit: int = 10**6) -> tuple[list[dict[str, str]], Run]:
    run, file = Run(data, limit), io.StringIO()
    write_table(file, data.spec, parts_of_test(run), data.test.names)  # type: ignore[arg-type]
    file.seek(0)
    return list(csv.DictReader(file, delimiter="\t")), run


@pytest.mark.parametrize("output", ANY_MODEL)
def test_each_scored_prediction_has_a_row_in_order_and_streamed_ones_are_the_same(
    output: Output,
) -> None:
    data = data_of(output)
    rows, run = rows_of(data)
    scored = is_scored(data.test.targets)
    expected = scored.sum() if data.spec.per_position else scored.any(dim=1).sum()
    assert len(rows) == int(expected)
    numbers = [int(row["name"]) for row in rows]
    assert numbers == sorted(numbers)
    again, _ = rows_of(data, limit=3)  # is too little to be kept
    assert [list(row) for row in again] == [list(row) for row in rows]
    for row, other in zip(rows, again, strict=True):
        assert all(_same(row[key], other[key]) for key in row)
    if "target" in rows[0] and output is not Output.REGRESSION:
        right = sum(row["target"] == row["predicted"] for row in rows)
        assert right / len(rows) == pytest.approx(run.metrics["test/accuracy"])


def _same(one: str, other: str) -> bool:
    try:
        return float(one) == pytest.approx(float(other), rel=1e-4)
    except ValueError:
        return one == other


def test_names_are_those_of_the_records_in_one_cell_each() -> None:
    data = data_of(Output.SEQUENCE_CLASS)
    names = [f"chr1:{i}-{i + 9}\t{i}\n" for i in range(len(data.test))]
    data = replace(data, test=replace(data.test, names=names))
    rows, _ = rows_of(data)
    assert [row["name"] for row in rows] == [
        name[:-1].replace("\t", r"\t") + r"\n" for name in names
    ]
    shares = [float(row[f"P({data.spec.output_names[0]})"]) for row in rows]
    assert all(0 < share < 1 for share in shares)


def test_a_label_or_number_that_is_not_known_is_empty() -> None:
    for output in (Output.MULTI_LABEL, Output.REGRESSION):
        data = data_of(output)
        rows, _ = rows_of(data)
        keys = [key for key in rows[0] if key.endswith("target")]
        empty = sum(row[key] == "" for row in rows for key in keys)
        shown = is_scored(data.test.targets)
        assert empty == int((~shown)[shown.any(dim=1)].sum()) > 0


def test_positions_are_counted_within_each_sequence_across_parts() -> None:
    spec = data_of(Output.TOKEN_CLASS).spec
    parts = [
        Part(torch.tensor(numbers), torch.zeros(len(numbers), spec.num_outputs), targets)
        for numbers in ([0, 0, 1], [1, 1, 2])
        for targets in [torch.zeros(len(numbers), 1, dtype=torch.long)]
    ]
    file = io.StringIO()
    write_table(file, spec, iter(parts))
    rows = [line.split("\t")[:2] for line in file.getvalue().splitlines()[1:]]
    assert rows == [["1", "1"], ["1", "2"], ["2", "1"], ["2", "2"], ["2", "3"], ["3", "1"]]


def test_chosen_rows_keep_their_names() -> None:
    test = replace(data_of(Output.SEQUENCE_CLASS).test, names=[f"r{i}" for i in range(24)])
    assert list(test.chosen(torch.tensor([3, 1])).names) == ["r3", "r1"]
