"""What each family adds to the output of a model."""

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqexp.interpret.attributions.question import two_at_least
from seqexp.interpret.families.grouping import Group
from seqexp.interpret.filters.windows import HasFilters, effects_of_groups
from seqexp.spec import PAD, Model

ROWS = 500
"""Sequences without their sites that go through the model together."""

Effects = tuple[Float[np.ndarray, "sampled groups outputs"], Float[np.ndarray, " groups"]]
"""Of each sequence, nats, less the mean over outputs; and the spread over sequences."""


def effects_of(
    model: HasFilters | Model,
    tokens: Int[Tensor, "sampled time"],
    sample: Int[np.ndarray, " sampled"],
    groups: Sequence[Group],
) -> Effects | None:
    """What each group adds to the logits: its filters, or its sites where it has patterns only.

    None where the model does not tell what filters add, and there is no pattern.

    Args:
        model: that predicts.
        tokens: of the sequences that effects are measured on, on the model's device.
        sample: their numbers, in rising order.
        groups: one at least.
    """
    filters = [group.numbers("filter") for group in groups]
    of_filters = [place for place, found in enumerate(filters) if found]
    told = None
    if of_filters:
        told = effects_of_groups(
            cast(HasFilters, model), tokens, [filters[place] for place in of_filters]
        )
    has_patterns = any(group.numbers("pattern") for group in groups)
    if told is not None and len(of_filters) == len(groups):
        return told
    if not has_patterns:
        return None
    known = {} if told is None else dict(zip(of_filters, told[0].transpose(1, 0, 2), strict=True))
    effects = np.stack(
        [
            known[place]
            if place in known
            else effects_of_sites(cast(Model, model), tokens, sample, group)
            for place, group in enumerate(groups)
        ],
        axis=1,
    )
    return effects, np.sqrt(2 * effects.var(axis=0).sum(axis=1))


@torch.no_grad()
def effects_of_sites(
    model: Model,
    tokens: Int[Tensor, "sampled time"],
    sample: Int[np.ndarray, " sampled"],
    group: Group,
) -> Float[np.ndarray, "sampled outputs"]:
    """What the sites of a motif add to the logits: with them, less with padding in their place.

    As those of filters, less the mean over outputs, where one output counts as two.
    """
    taken = torch.from_numpy(_covered(tuple(tokens.shape), sample, group)).to(tokens.device)
    effects: np.ndarray | None = None
    for part in _parts(taken):
        there = tokens[part]
        lost = there.masked_fill(taken[part], PAD)
        added = two_at_least(_logits(model, there) - _logits(model, lost))
        added -= added.mean(dim=1, keepdim=True)
        if effects is None:
            effects = np.zeros((len(tokens), added.shape[1]))
        effects[part.cpu().numpy()] = added.cpu().numpy()
    assert effects is not None
    return effects


def _covered(
    shape: tuple[int, ...], sample: Int[np.ndarray, " sampled"], group: Group
) -> np.ndarray:
    """Which letters of the sampled sequences lie on a site."""
    sites = group.sites
    begins, ends = sites.spans(group.first, group.last)
    places = np.searchsorted(sample, sites.rows).clip(max=len(sample) - 1)
    is_sampled = sample[places] == sites.rows
    covered = np.zeros(shape, dtype=bool)
    for place, begin, end in zip(
        places[is_sampled], begins[is_sampled], ends[is_sampled], strict=True
    ):
        covered[place, max(0, begin) : max(0, end)] = True
    return covered


def _parts(taken: Tensor) -> Iterator[Int[Tensor, " rows"]]:
    """Numbers of the sequences of which something is taken; of one sequence, if there is none."""
    rows = taken.any(dim=1).nonzero()[:, 0]
    yield from torch.split(rows if len(rows) else rows.new_zeros(1), ROWS)


def _logits(model: Model, tokens: Int[Tensor, "rows time"]) -> Float[Tensor, "rows outputs"]:
    return model(tokens)[0][:, -1].double()
