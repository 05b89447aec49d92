"""Patterns in the attributions of a model's predictions: its way to families without filters.

TF-MoDISco cuts out the windows of largest attribution, clusters and aligns them. Each cluster is a
pattern, whose windows are its sites.

Source: Shrikumar et al. (2018), as modisco-lite has it (Schreiber 2022).
"""

import importlib
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqexp.errors import Terminated
from seqexp.interpret.attributions.methods import attribute, method_for
from seqexp.interpret.attributions.question import asked
from seqexp.interpret.families.sites import Sites
from seqexp.seeding import UniformSource, stream_seed
from seqexp.spec import Model, Output, TaskSpec
from seqexp.utils.names import one_line
from seqexp.utils.phases import phase

log = logging.getLogger("seqexp")

MAX_OUTPUTS = 8
"""Outputs, the first ones, whose predictions are explained."""

TOLERANCE = 0.05
"""Nats that a piece of the way of integrated gradients may miss, which its letters share. A
thousandth takes five times as long where a maximum switches; both correlate by 0.9998."""

TOGETHER = 64
"""Sequences that are explained together."""

BESIDE = 50
"""Letters that are put on either side of a sequence: TF-MoDISco drops what lies near an end."""

SETTINGS = {
    "sliding_window_size": 20,
    "flank_size": 5,
    "target_seqlet_fdr": 0.05,
    "n_leiden_runs": 2,
    "max_seqlets_per_metacluster": 2000,  # the command asks for it
}
"""As those of the command `modisco motifs`."""

LETTERS = "ACGT"
"""In the order of TF-MoDISco, which turns a strand by reversing it."""


@dataclass(frozen=True, eq=False)
class EvidencePattern:
    """Windows of one pattern, aligned: place c of it is place c of each site.

    Scores of sites are the sizes of their attributions, as a share of the largest.
    """

    sites: Sites
    width: int


@runtime_checkable
class Seqlet(Protocol):
    """A window of TF-MoDISco: of example `example_idx`, from `start` to before `end`."""

    example_idx: int
    start: int
    end: int
    is_revcomp: bool
    contrib_scores: Float[np.ndarray, "width symbols"]


def find_patterns(
    model: Model,
    spec: TaskSpec,
    tokens: Int[Tensor, "sampled time"],
    rows: Int[np.ndarray, " sampled"],
) -> list[EvidencePattern]:
    """Explain sequences of DNA by a model, and find patterns in the attributions.

    Of two classes the second one is explained, else each of the first outputs.

    Args:
        model: that predicts.
        spec: the task.
        tokens: ids of the sequences, on the model's device.
        rows: numbers of these sequences, in which sites are counted.
    """
    count = len(spec.output_names)
    is_binary = spec.output is Output.SEQUENCE_CLASS and count == 2
    targets = [1] if is_binary else list(range(min(count, MAX_OUTPUTS)))
    order = [spec.vocabulary.symbols.index(letter) for letter in LETTERS]
    one_hot = (tokens[:, :, None] == torch.tensor(order, device=tokens.device) + 1).float()
    found = []
    for target in targets:
        of, name = f"{len(tokens):,} sequences", one_line(spec.output_names[target])
        with phase(f"attributions of {of} for {name} ({method_for(model)})"):
            parts = _explained(model, spec, tokens, target)[:, :, order]
        try:
            with phase(f"patterns in the attributions of {of} for {name} (TF-MoDISco)"):
                seqlets = modisco(one_hot.cpu().numpy(), parts.cpu().numpy())
        except (ArithmeticError, LookupError, ValueError) as error:
            # it fits a distribution to windows of either sign: there may be none, or too few
            said = (str(error).splitlines() or [""])[0][:200]
            log.info(
                f"  no patterns for {name}: TF-MoDISco cannot tell its attributions from chance"
                f" ({type(error).__name__}: {said})"
            )
            continue
        found += [aligned_sites(pattern, rows) for pattern in seqlets]
    return found


def _explained(
    model: Model, spec: TaskSpec, tokens: Int[Tensor, "sampled time"], target: int
) -> Float[Tensor, "sampled time symbols"]:
    """What each letter would add at each place to one output of the model."""
    found = []
    for part in torch.split(tokens, TOGETHER):
        with torch.no_grad():
            logits = model(part)[0][:, -1]
        question = asked(spec, logits, target)
        made = attribute(model, spec, part, question, method_for(model), tolerance=TOLERANCE)
        assert made.parts is not None
        found.append(made.parts.detach().float())
    return torch.cat(found)


def modisco(
    one_hot: Float[np.ndarray, "sampled time symbols"],
    attributions: Float[np.ndarray, "sampled time symbols"],
) -> list[Sequence[Seqlet]]:
    """The windows of each pattern that TF-MoDISco finds, aligned.

    First the patterns that raise what is explained, then those that lower it. Places are those of
    sequences with `BESIDE` letters before them.

    Args:
        one_hot: letters A, C, G and T; 0 where there is padding.
        attributions: hypothetical ones, what each letter would add.
    """
    if not (one_hot * attributions).any():
        return []
    found: Any = importlib.import_module("modiscolite.tfmodisco")  # the check has asked
    _keep_to_threads()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # where many attributions are exactly 0
        try:
            both = found.TFMoDISco(*_surrounded(one_hot, attributions), **SETTINGS)
        except SystemError as error:  # of igraph, while a signal came
            if isinstance(error.__cause__, (KeyboardInterrupt, Terminated)):
                raise error.__cause__ from None
            raise
    return [pattern.seqlets for patterns in both if patterns for pattern in patterns]


def _surrounded(
    one_hot: Float[np.ndarray, "sampled time symbols"],
    attributions: Float[np.ndarray, "sampled time symbols"],
) -> tuple[
    Float[np.ndarray, "sampled longer symbols"], Float[np.ndarray, "sampled longer symbols"]
]:
    """Both, with letters beside the sequences and in the place of padding that tell nothing.

    They are drawn from the places of smaller attributions, with these. So no pattern arises there,
    and the threshold of windows is that of the sequences.
    """
    count, time, symbols = one_hot.shape
    is_real = one_hot.any(axis=2)
    letters, values = one_hot[is_real], attributions[is_real]
    sizes = np.abs((letters * values).sum(axis=1))
    quiet = np.flatnonzero(sizes <= np.median(sizes))
    uniform = UniformSource(stream_seed(0, "beside"))
    longer = time + 2 * BESIDE
    drawn = quiet[(uniform(count * longer) * len(quiet)).astype(np.int64)].reshape(count, longer)
    found = letters[drawn].astype(np.float32), values[drawn].astype(np.float32)
    for whole, own in zip(found, (one_hot, attributions), strict=True):
        whole[:, BESIDE : BESIDE + time][is_real] = own[is_real]
    return found


def _keep_to_threads() -> None:
    """Have TF-MoDISco use no more threads than PyTorch does: `trainer.num_threads`."""
    numba: Any = importlib.import_module("numba")
    if torch.get_num_threads() < numba.config.NUMBA_NUM_THREADS:
        numba.set_num_threads(torch.get_num_threads())


def aligned_sites(seqlets: Sequence[Seqlet], rows: Int[np.ndarray, " sampled"]) -> EvidencePattern:
    """The sites of one pattern.

    Args:
        seqlets: its windows, all of one width, as `modisco` has them.
        rows: number of the sequence of each example.
    """
    is_turned = np.array([bool(one.is_revcomp) for one in seqlets])
    starts = np.array([one.start for one in seqlets]) - BESIDE
    ends = np.array([one.end for one in seqlets]) - BESIDE
    sizes = np.array([abs(float(one.contrib_scores.sum())) for one in seqlets])
    sites = Sites(
        rows[[one.example_idx for one in seqlets]].astype(np.int32),
        np.where(is_turned, ends - 1, starts).astype(np.int32),
        np.where(is_turned, -1, 1).astype(np.int32),
        (sizes / (sizes.max() or 1.0)).astype(np.float32),
    )
    return EvidencePattern(sites, int(ends[0] - starts[0]))
