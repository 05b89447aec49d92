"""What a checked config is turned into."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from forms import FEATURES, LETTERS
from kinds import data_of
from training import composed

from seqexp import build
from seqexp.config.check import check
from seqexp.errors import InputError
from seqexp.spec import Output
from seqexp.tracking.none import NoTracker
from seqexp.trainer.settings import BPTT, Settings


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


@pytest.mark.parametrize(("k2", "is_refused"), [(None, True), (6, True), (7, False)])
def test_windows_that_cut_a_question_off_its_picture_are_refused(
    tmp_path: Path, k2: int | None, is_refused: bool
) -> None:
    """The longest question of the data made has 7 words, and one answer."""
    keys = ("dataset=questions", "model=lstm", "tracking=none", "trainer.bptt.k1=3")
    truncated = () if k2 is None else (f"trainer.bptt.k2={k2}",)
    parts = build.parts(check(composed(tmp_path, *keys, *truncated)))
    data, device = build.load(parts), build.prepare(parts.settings, 1)
    if not is_refused:
        assert build.prepare_training(parts, data, device).seed == parts.seed
        return
    with pytest.raises(InputError, match="bptt.k1 is 3, .* 7 tokens .* give k1=null, or k2=7"):
        build.prepare_training(parts, data, device)


@pytest.mark.parametrize("output", [Output.NEXT_TOKEN, Output.TOKEN_CLASS])
def test_windows_whose_gradients_do_not_reach_the_context_are_refused(output: Output) -> None:
    data = data_of(output, LETTERS, FEATURES)
    time = data.train.tokens.shape[1]
    with pytest.raises(InputError, match=f"k1 is 2, .* later windows .* k1=null, or k2={time}"):
        build.refuse_unlearned_contexts(Settings(bptt=BPTT(2)), data)
    for bptt in (None, BPTT(None), BPTT(time), BPTT(2, time)):
        build.refuse_unlearned_contexts(Settings(bptt=bptt), data)
    without = data_of(output, LETTERS)
    build.refuse_unlearned_contexts(Settings(bptt=BPTT(2)), without)


def test_a_context_longer_than_memory_is_refused_in_words() -> None:
    data = data_of(Output.NEXT_TOKEN, LETTERS, LETTERS)
    long = torch.ones(1, 1, dtype=torch.uint8).expand(24, 10**9)  # one byte
    endless = replace(data, train=replace(data.train, context=long))
    with pytest.raises(InputError, match="up to 1,000,000,000 positions: to read 32 at a time"):
        build.refuse_endless_contexts(Settings(), endless, {"hidden_size": 64})
    build.refuse_endless_contexts(Settings(), data, {"hidden_size": 64})
