"""What a checked config is turned into."""

from pathlib import Path
from typing import Any

import pytest
from training import composed

from seqexp import build
from seqexp.config.check import check
from seqexp.tracking.none import NoTracker


def test_each_part_of_a_config_is_built_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []
    real = build.build

    def counted(node: Any, **supplied: Any) -> Any:
        built.append(node["_target_"])
        return real(node, **supplied)

    monkeypatch.setattr(build, "build", counted)
    config = check(composed(tmp_path, "tracking=none"))
    parts = build.parts(config)
    training = build.prepare_training(parts, build.load(parts), build.prepare(parts.settings, 1))
    assert training.seed == parts.seed == config["seed"]
    nodes = [value for value in config.values() if isinstance(value, dict) and "_target_" in value]
    # an optimizer takes its first step on weights that are thrown away
    assert sorted({*built}) == sorted(node["_target_"] for node in nodes)
    assert [built.count(node["_target_"]) for node in nodes].count(1) >= len(nodes) - 1


def test_a_process_that_only_trains_looks_at_nothing_and_keeps_nothing(tmp_path: Path) -> None:
    parts = build.parts(check(composed(tmp_path, "decode=beam", "tracking=none")), only_trains=True)
    assert isinstance(parts.tracker, NoTracker) and not parts.tracker.keeps
    assert (parts.filters, parts.decoder, parts.gradient_flow) == (None, None, None)


def test_the_other_way_round_of_the_other_way_round_is_as_it_was(tmp_path: Path) -> None:
    parts = build.parts(check(composed(tmp_path, "dataset=noisy-reads", "tracking=none")))
    turned = parts.other_way_round()
    assert turned.reads_backwards is not parts.reads_backwards
    assert turned.other_way_round().config == parts.config
