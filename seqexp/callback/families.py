"""Keeps the motif families of a model: figures, tables, and all sites."""

import json
import logging
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from seqexp.callback.base import Observed
from seqexp.data import Data, Pattern, Sequences
from seqexp.interpret.families.family import Families, Known, Read, find_families
from seqexp.interpret.families.files import as_json, sites_bed
from seqexp.interpret.families.patterns import EvidencePattern, find_patterns
from seqexp.interpret.filters.extraction import Filters
from seqexp.interpret.filters.matrix import is_dna
from seqexp.interpret.filters.windows import HasFilters
from seqexp.interpret.letters import have_logo
from seqexp.spec import Model, Output
from seqexp.utils.beside import Make, Picture, pictures

log = logging.getLogger("seqexp")

MAX_LETTERS = 2**25
"""Of the sequences in which sites are looked for; of more, some are drawn by class."""

PAIRS = "families/pairs.png"

Kept = tuple[Families, dict[str, Picture]]
"""Families, and figures by path: of each of the first ones, and of their pairs."""


def path_of(number: int) -> str:
    """The path of a family's figure."""
    return f"families/{number}.png"


def keep_families(
    settings: Filters, run: Observed, model: HasFilters | Model, database: Sequence[Pattern]
) -> Kept | None:
    """Keep `families.json` and `sites.bed`, and draw figures; None where there is nothing to read.

    Families are of letters, and of sequences of which something is told as a whole.
    """
    data, tracker = run.data, run.tracker
    spec = data.spec
    if not tracker.keeps or not has_families(data):
        return None
    given, names = _read(data, settings, run.training.seed)
    compares = settings.matches and is_dna(spec.vocabulary.symbols)
    known = Known(data.patterns if compares else None, database if compares else (), settings.max_q)
    share, trim_bits = settings.activation_share, settings.trim_bits
    patterns = _patterns(run, given) if seeks_patterns(settings, data) else None
    found = find_families(model, given, share, trim_bits, known, _say, patterns)
    from seqexp.interpret.families.figures import family_figure
    from seqexp.interpret.families.pairs_figure import pairs_figure

    shown = found.telling[: settings.max_shown]
    makes: dict[str, Make] = {
        path_of(one.index): partial(family_figure, one, given) for one in shown
    }
    if found.pairs:
        makes[PAIRS] = partial(pairs_figure, found)
    drawn = pictures(makes)
    tracker.text(json.dumps(as_json(found, given), indent=1), "families.json")
    tracker.text(sites_bed(found.telling, names, given), "sites.bed")
    return found, drawn


def _say(line: str) -> None:
    log.info(f"  {line}")


def seeks_patterns(settings: Filters, data: Data) -> bool:
    """Whether patterns are asked for, and sequences are of DNA."""
    return settings.patterns and has_families(data) and is_dna(data.spec.vocabulary.symbols)


def _patterns(run: Observed, given: Read) -> list[EvidencePattern]:
    """Patterns in the attributions of the sampled sequences, in which training sees them."""
    training, data = run.training, run.data
    training.model.eval()
    width = data.train.tokens.shape[1]
    tokens = given.tokens[given.sample][:, :width].long().to(training.device)
    return find_patterns(training.model, data.spec, tokens, given.sample.numpy())


def has_families(data: Data) -> bool:
    """Whether sequences are of letters, and something is told of each as a whole."""
    spec = data.spec
    return (
        spec.features is None
        and spec.context is None
        and not spec.per_position
        and have_logo(spec.vocabulary.symbols)
    )


def _read(data: Data, settings: Filters, seed: int) -> tuple[Read, list[str]]:
    """All sequences of the three splits, the training first, and their names."""
    splits = {
        name: split.at_most(max(1, MAX_LETTERS // (3 * max(1, split.tokens.shape[1]))), seed)
        for name, split in data.splits().items()
    }
    width = max(split.tokens.shape[1] for split in splits.values())
    tokens = torch.zeros(sum(map(len, splits.values())), width, dtype=torch.uint8)
    first = 0
    for split in splits.values():
        tokens[first : first + len(split), : split.tokens.shape[1]] = split.tokens
        first += len(split)
    targets = torch.cat([split.targets.cpu() for split in splits.values()])
    train, count = splits["train"], settings.num_sequences
    sample = torch.arange(len(train))
    if len(train) > count:
        sample = train.drawn(count, seed).sort().values.cpu()
    spec = data.spec
    given = Read(
        tokens,
        spec.vocabulary.symbols,
        spec.output_names,
        _holds(targets, spec.output, len(spec.output_names)),
        sample,
        "standard deviations" if spec.output is Output.REGRESSION else "nats",
    )
    names = [name for key, split in splits.items() for name in _names(key, split)]
    return given, names


def _names(split_name: str, split: Sequences) -> Iterator[str]:
    if len(split.names) == len(split):
        yield from split.names
        return
    for number in range(1, len(split) + 1):
        yield f"{split_name}_{number}"


def _holds(
    targets: Tensor, output: Output, count: int
) -> Bool[np.ndarray, "outputs sequences"] | None:
    """Of each output, which sequences it stands for; None of numbers."""
    if output is Output.SEQUENCE_CLASS:
        return np.stack([(targets[:, 0] == number).numpy() for number in range(count)])
    if output is Output.MULTI_LABEL:
        return (targets == 1).T.numpy()
    return None
