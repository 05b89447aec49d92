"""Every decoder is used where its methods fit, and refused where nothing of it would be used."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from seqexp.data import Cluster, Data, Sequences
from seqexp.decode.base import (
    ReadsByNetwork,
    ReadsWithoutNetwork,
    WritesTargets,
    WritesTexts,
    refuse_unfit,
)
from seqexp.decode.beam import Beam
from seqexp.decode.denoise import Denoise
from seqexp.decode.polish import Polish
from seqexp.decode.sample import Sample
from seqexp.errors import InputError
from seqexp.spec import Output, TaskSpec, Vocabulary

NONE = Sequences(torch.zeros(0, 1).long(), torch.zeros(0, 1).long())
SPEC = TaskSpec(Vocabulary(("<", "A", "C", ">")), 5, Output.NEXT_TOKEN, ("", "<", "A", "C", ">"))
TEXTS = Data(SPEC, NONE, NONE, NONE)
TARGETS = replace(TEXTS, spec=replace(SPEC, context=Vocabulary(("x", "y"))))
READS = replace(TEXTS, clusters=(Cluster(("AC", "ACC"), "AC"),))
LABELS = replace(TEXTS, spec=replace(SPEC, num_outputs=2, output=Output.SEQUENCE_CLASS))

PROTOCOLS = (WritesTexts, WritesTargets, ReadsByNetwork, ReadsWithoutNetwork)


@pytest.mark.parametrize(
    ("decoder", "serves"),
    [
        (Sample(), {WritesTexts, WritesTargets, ReadsByNetwork}),
        (Beam(), {WritesTexts, WritesTargets, ReadsByNetwork}),
        (Polish(), {ReadsWithoutNetwork}),
        (Denoise(), set()),
    ],
)
def test_each_decoder_serves_what_its_page_says(decoder: object, serves: set[type]) -> None:
    assert {protocol for protocol in PROTOCOLS if isinstance(decoder, protocol)} == serves


@pytest.mark.parametrize(
    ("decoder", "data", "words"),
    [
        (Polish(), TEXTS, "Polish cannot decode texts: .*prompt, every_epochs, write "),
        (Polish(), TARGETS, "Polish cannot decode the targets of contexts"),
        (object(), READS, "object cannot decode reads: .*reads or method, length, consensus"),
        (object(), TEXTS, "object cannot decode texts"),
    ],
)
def test_a_decoder_without_use_is_refused_with_what_it_lacks(
    decoder: object, data: Any, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        refuse_unfit(decoder, data)


@pytest.mark.parametrize("data", [TEXTS, TARGETS, READS, LABELS])
def test_a_decoder_that_fits_passes_and_none_and_labels_pass_always(data: Any) -> None:
    for decoder in (None, Sample(), Beam()):
        refuse_unfit(decoder, data)
    refuse_unfit(Polish(), READS)
    refuse_unfit(Polish(), LABELS)
