"""Test clusters are decoded by all methods at the end, and what was learned is kept."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from seqexp.callback.denoise import Denoised, sentences, table_rows
from seqexp.dataset.noisy_reads import NoisyReads
from seqexp.decode.consensus.baselines import yardsticks
from seqexp.decode.denoise import Denoise
from seqexp.model.read_errors import ReadErrors


class Kept:
    """A tracker that keeps tables, and the names of figures."""

    keeps = True

    def __init__(self) -> None:
        self.tables: dict[str, Any] = {}
        self.figures: list[str] = []

    def table(self, rows: Any, name: str) -> None:
        self.tables[name] = rows

    def figure(self, figure: Any, name: str) -> None:
        self.figures.append(name)


def test_all_methods_stand_in_the_table_and_letters_and_errors_in_theirs() -> None:
    dataset = NoisyReads(view="clusters", num_clusters=8, length=30, num_reads=4, test_share=0.4)
    data = dataset.load()
    torch.manual_seed(0)
    model = ReadErrors(data.spec, channels=4, width=3, second_width=1, qualities=2)
    tracker, logged = Kept(), dict[str, float]()
    run: Any = SimpleNamespace(
        data=data,
        tracker=tracker,
        training=SimpleNamespace(model=model),
        log=lambda metrics, step: logged.update(metrics),
    )
    callback = Denoised(Denoise(num_reads=[3, 9]), run, dataset.channel)
    callback.at_end(SimpleNamespace())  # type: ignore[arg-type]
    rows = tracker.tables["reads/methods.json"]
    methods = {row["method"]: row for row in rows}
    assert {*methods} >= {"medoid", "spoa", "abPOA", "polish", "polish, rates known", "denoise"}
    assert len({tuple(row) for row in rows}) == 1  # all with the same columns
    for name in yardsticks()[1]:
        assert "seqexp[reads]" in methods[name]["note"] and methods[name]["exact"] is None
    assert {*logged} >= {"reads/exact_n3", "reads/ece_n3", "baseline/channel_loss_nats"}
    assert not any(name.endswith("_n9") for name in logged)
    assert logged["baseline/channel_loss_nats"] == pytest.approx(14, abs=4)
    letters = sum(row["letters"] for row in tracker.tables["reads/reliability.json"])
    assert abs(letters - 30 * len(data.clusters)) < 15
    assert {row["by"] for row in tracker.tables["reads/learned.json"]} >= {"homopolymer", "burst"}
    first, *others = sentences(rows)
    own = methods["denoise"]["exact"]
    assert first.startswith(f"Of {len(data.clusters)} clusters of 3 reads, a share of {own:.3f}")
    assert "the best method without a network" in first and not others
    shown = {(row["reads"], row["method"]): row for row in table_rows(rows)}
    assert len(shown) == len(rows) and shown[3, "denoise"]["exact"].startswith(f"{own:.3f}")
    assert {*callback.figures} == {"reliability", "learned"}
    assert {*tracker.figures} == {"reads/reliability.png", "reads/learned.png"}
