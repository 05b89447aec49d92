"""What errors a read of a sequence has, place by place: a pair hidden Markov model whose rates are
the outputs of a small convolutional network over the sequence.
"""

import math
from typing import Annotated, Literal, NamedTuple

import torch
from annotated_types import Interval
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from seqexp.errors import InputError
from seqexp.kernels import pair_hmm
from seqexp.kernels.pair_hmm import LETTERS, Letters, Rates
from seqexp.ranges import Size
from seqexp.spec import PAD, Carry, TaskSpec

STATES = 4
"""Clean, after an insertion, after a deletion, after an error not long ago."""

INSERT, DELETE, SUBSTITUTE, COPY = range(4)
"""Events, in the order of the outputs."""

OUTPUTS = STATES * 4 + LETTERS + LETTERS + 1
"""Of a place: events by state, letters inserted, letters substituted, stay in a recent error."""

OUTSIDE = LETTERS
"""What stands before the first base and after the last one."""

COPIES, COPIES_AFTER_ERROR = 0.97, 0.85
"""Chance of a copy at the start, in the clean state and in the others."""

APART = 0.7
"""By which the levels' logits of errors differ at the start; equal ones would stay equal."""

STRAND_PRIOR = 0.5
"""By which substitutions of A and G are more frequent than of C and T at the start, in logits: it
tells the strands apart, which are mirror images."""

STEEPEST = 40.0
"""Logits of a table beyond which there is no difference: a chance of e^-40."""

BAND = 12
"""Cells beside the diagonal, and the difference of the lengths."""

Quality = Annotated[int, Interval(ge=1, le=8)]


class ReadErrors(nn.Module):
    """The likelihood of reads given the sequence that they are read from.

    A read is one of several qualities, and of one of two strands: the same network reads the
    sequence, or its reverse complement with that of the read. Both are summed out.

    Args:
        spec: the task, given by seqexp.
        channels: of the network.
        width: bases that its first layer sees at once.
        second_width: places that its second layer sees at once.
        qualities: latent levels of reads, each with rates of its own.
        strands: 2 where reads may be of either strand, as of a sequencer; 1 where they are not.
        memory: whether an error makes the next one more likely: 4 states instead of 1.

    Raises:
        InputError: where the dataset does not give clusters of reads.

    Source: Durbin, Eddy, Krogh & Mitchison (1998), sec. 4.2, for the likelihood.
    """

    causal = False

    def __init__(
        self,
        spec: TaskSpec,
        channels: Size = 64,
        width: Size = 11,
        second_width: Size = 5,
        qualities: Quality = 3,
        strands: Literal[1, 2] = 2,
        memory: bool = True,
    ) -> None:
        super().__init__()
        if spec.output != "read_errors":
            raise InputError(
                "model is read-errors, which is for clusters of reads; give dataset=noisy-reads"
                " dataset.view=clusters, or another model"
            )
        self.qualities, self.strands, self.memory = qualities, strands, memory
        self.first = nn.Conv1d(LETTERS + 1, channels, width)
        self.second = nn.Conv1d(channels, channels, second_width)
        self.residual = nn.Conv1d(channels, channels, 1)
        self.level = nn.Parameter(torch.zeros(qualities, channels))
        self.output = nn.Linear(channels, OUTPUTS)
        self.start = nn.Parameter(torch.zeros(qualities, OUTPUTS))
        self.by_base = nn.Parameter(torch.zeros(LETTERS + 1, OUTPUTS))
        self.share = nn.Parameter(torch.zeros(qualities))
        self._begin()

    def _begin(self) -> None:
        """Rates of a plausible sequencer, the same everywhere."""
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        with torch.no_grad():
            levels = torch.linspace(-APART, APART, self.qualities) if self.qualities > 1 else None
            events = self.start[:, : STATES * 4].view(self.qualities, STATES, 4)
            for state in range(STATES):
                copies = COPIES if state == 0 else COPIES_AFTER_ERROR
                events[:, state, COPY] = math.log(copies / ((1 - copies) / 3))
            if levels is not None:
                events[:, :, :COPY] += levels[:, None, None]
                self.level.copy_(0.01 * levels[:, None].expand_as(self.level))
            sign = torch.tensor([1.0, -1.0, 1.0, -1.0])  # A, C, G, T
            if self.strands == 2:
                by_base = self.by_base[:LETTERS, : STATES * 4].view(LETTERS, STATES, 4)
                by_base[:, :, SUBSTITUTE] = STRAND_PRIOR * sign[:, None]

    def read(self, context: Int[Tensor, "batch letters"]) -> Carry:
        """The reads, whose likelihood is wanted."""
        return (context,)

    def forward(
        self, tokens: Int[Tensor, "batch bases"], carry: Carry | None = None
    ) -> tuple[Float[Tensor, "batch 1 1"], Carry]:
        """Log-likelihood of each read given its sequence, nats.

        Ids are 1 to 4 for A, C, G, T, padded on the right.
        """
        assert carry, "read the context first"
        reads = carry[0]
        sequences, which = torch.unique(tokens, dim=0, return_inverse=True)
        found = self.log_likelihood(sequences, reads, which)
        return found[:, None, None].float(), ()

    def log_likelihood(
        self,
        sequences: Int[Tensor, "sequences bases"],
        reads: Int[Tensor, "reads letters"],
        which: Int[Tensor, " reads"],
    ) -> Float[Tensor, " reads"]:
        """Of each read given one of the sequences, summed over strands and qualities, float64."""
        return torch.logsumexp(self.by_cause(sequences, reads, which), dim=(1, 2))

    def by_cause(
        self,
        sequences: Int[Tensor, "sequences bases"],
        reads: Int[Tensor, "reads letters"],
        which: Int[Tensor, " reads"],
    ) -> Float[Tensor, "reads strands qualities"]:
        """Log of the joint probability of read, strand and quality, given the sequence."""
        forms = [(sequences, reads), (turned(sequences), turned(reads))][: self.strands]
        parts = [self._of_strand(*form, which) for form in forms]
        return torch.stack(parts, dim=1) + self.log_shares()

    def log_shares(self) -> Float[Tensor, " qualities"]:
        """Log of the probability of a strand and each quality."""
        return torch.log_softmax(self.share.double(), dim=0) - math.log(self.strands)

    def _of_strand(
        self, sequences: Tensor, reads: Tensor, which: Int[Tensor, " reads"]
    ) -> Float[Tensor, "reads qualities"]:
        quality = torch.arange(self.qualities, device=which.device).repeat(len(reads))
        of = which.repeat_interleave(self.qualities)
        rates = self.rates(sequences)
        row = of * self.qualities + quality
        pairs = Rates(*(getattr(rates, name)[row] for name in Rates.__dataclass_fields__))
        given = reads.repeat_interleave(self.qualities, dim=0)
        letters = Letters(*_numbers(sequences[of]), *_numbers(given))
        found = pair_hmm.log_likelihood(pairs, letters, band_of(letters))
        return found.view(-1, self.qualities)

    def rates(self, sequences: Int[Tensor, "sequences bases"]) -> Rates:
        """Of each sequence and quality, a row each: probabilities, float64."""
        base = self.bases(sequences)
        logits = self._logits(self.wide(base), base).double()
        rows = logits.flatten(0, 1)  # (sequences * qualities, bases + 1, outputs)
        base = base.repeat_interleave(self.qualities, dim=0)
        found = self._probabilities(rows, base)
        last = (base == OUTSIDE).int().argmax(dim=1)[:, None, None]
        return Rates(
            emission=found.emission[:, :, :-1],
            insertion=found.insertion,
            deletion=found.deletion[:, :, :-1],
            end=found.end.gather(2, last.expand(-1, STATES, -1))[..., 0],
            stay=found.stay[:, :-1],
        )

    @torch.no_grad()
    def table(
        self, windows: Int[Tensor, "kinds letters"]
    ) -> Float[Tensor, "kinds qualities columns"]:
        """Rates of a base in each window of letters, as `pair_hmm.Table` has them.

        The same as `rates`, for places one by one.
        """
        base = windows[:, self.before]
        vectors = functional.one_hot(windows, LETTERS + 1).to(self.output.weight.dtype)
        hidden = torch.relu_(self.first(vectors.transpose(1, 2))).flatten(1)
        hidden = functional.linear(hidden, self.second.weight.flatten(1), self.second.bias)
        hidden = torch.relu_(hidden[:, None] + self.level)  # (kinds, qualities, channels)
        again = functional.linear(hidden, self.residual.weight[..., 0], self.residual.bias)
        logits = self.output(hidden + torch.relu_(again)) + self.start + self.by_base[base][:, None]
        weights = logits[..., :-1].clamp(-STEEPEST, STEEPEST).exp_() * _possible()[base][:, None]
        groups = weights.view(*logits.shape[:2], STATES + 2, 4)  # softmax is slow in groups of 4
        chance = groups / groups.sum(dim=-1, keepdim=True)
        events = chance[..., :STATES, :] if self.memory else chance[..., [0] * STATES, :]
        inserted, substituted = chance[:, :, STATES, None], chance[:, :, STATES + 1, None]
        own = functional.one_hot(base, LETTERS + 1)[:, None, None, :LETTERS]
        rates = torch.empty(*logits.shape[:2], STATES, 2 * LETTERS + 1)
        rates[..., :LETTERS] = events[..., [SUBSTITUTE]] * substituted + events[..., [COPY]] * own
        rates[..., LETTERS : 2 * LETTERS] = events[..., [INSERT]] * inserted
        rates[..., -1] = events[..., DELETE]
        stay = torch.sigmoid(logits[..., -1:]).float()
        return torch.cat([rates.flatten(2), stay, events[..., COPY].float()], dim=2)

    def _probabilities(
        self, logits: Float[Tensor, "rows places outputs"], base: Int[Tensor, "rows places"]
    ) -> "Probabilities":
        """After the last base there is an insertion, or the end, which is a copy elsewhere."""
        events = logits[..., : STATES * 4].reshape(*base.shape, STATES, 4).transpose(1, 2)
        # (rows, states, places, events)
        no_event = torch.tensor([False, True, True, False], device=logits.device)
        is_outside = (base == OUTSIDE)[:, None, :, None]
        events = events.masked_fill(is_outside & no_event, -torch.inf)
        if not self.memory:
            events = events[:, :1].expand_as(events)
        chance = torch.softmax(events, dim=-1)
        inserted = torch.softmax(logits[..., STATES * 4 :][..., :LETTERS], dim=-1)[:, None]
        own = functional.one_hot(base, LETTERS + 1)[..., :LETTERS].to(logits.dtype)
        others = logits[..., STATES * 4 + LETTERS :][..., :LETTERS]
        substituted = torch.softmax(others.masked_fill(own.bool(), -torch.inf), dim=-1)
        return Probabilities(
            emission=chance[..., SUBSTITUTE, None] * substituted[:, None]
            + chance[..., COPY, None] * own[:, None],
            insertion=chance[..., INSERT, None] * inserted,
            deletion=chance[..., DELETE],
            end=chance[..., COPY],
            stay=torch.sigmoid(logits[..., -1]),
        )

    def bases(self, sequences: Int[Tensor, "sequences bases"]) -> Int[Tensor, "sequences places"]:
        """Letters, 0 to 3, and a place after the last one; outside is 4."""
        base = _numbers(functional.pad(sequences, (0, 1), value=PAD))[0]
        return base.where(base >= 0, OUTSIDE)

    @property
    def before(self) -> int:
        """Letters before a place that the network sees."""
        return self.first.kernel_size[0] // 2 + self.second.kernel_size[0] // 2

    def wide(self, base: Int[Tensor, "sequences places"]) -> Int[Tensor, "sequences wide"]:
        """With what is outside on either side, so that each place has its window."""
        reach = self.first.kernel_size[0] + self.second.kernel_size[0] - 2
        return functional.pad(base, (self.before, reach - self.before), value=OUTSIDE)

    def _logits(
        self, wide: Int[Tensor, "sequences wide"], base: Int[Tensor, "sequences places"]
    ) -> Float[Tensor, "sequences qualities places outputs"]:
        """Outputs at each base, and after the last one."""
        vectors = functional.one_hot(wide, LETTERS + 1).to(self.output.weight.dtype)
        hidden = torch.relu(self.first(vectors.transpose(1, 2)))
        hidden = self.second(hidden)[:, None] + self.level[:, :, None]
        hidden = torch.relu(hidden).flatten(0, 1)  # (sequences * qualities, channels, places)
        hidden = hidden + torch.relu(self.residual(hidden))
        outputs: Tensor = self.output(hidden.transpose(1, 2))
        outputs = outputs.view(len(base), self.qualities, *outputs.shape[1:])
        return outputs + self.start[:, None] + self.by_base[base][:, None]


class Probabilities(NamedTuple):
    """Of each place, of all that a read may do there."""

    emission: Float[Tensor, "rows states places letters"]
    insertion: Float[Tensor, "rows states places letters"]
    deletion: Float[Tensor, "rows states places"]
    end: Float[Tensor, "rows states places"]
    stay: Float[Tensor, "rows places"]


def _possible() -> Float[Tensor, "letters outputs"]:
    """1 where an output may be, by the base; 0 elsewhere: no base is substituted by itself."""
    values = torch.ones(LETTERS + 1, OUTPUTS - 1)
    for event in (DELETE, SUBSTITUTE):
        values[OUTSIDE, event : STATES * 4 : 4] = 0
    values[:LETTERS, STATES * 4 + LETTERS :].fill_diagonal_(0)
    return values


def _numbers(tokens: Int[Tensor, "rows time"]) -> tuple[Tensor, Tensor]:
    """Ids 1 to 4 as letters 0 to 3, padded with -1, and lengths."""
    return tokens - 1, (tokens != PAD).sum(dim=1)


def band_of(letters: Letters) -> Int[Tensor, " pairs"]:
    """Cells on either side of the diagonal that are summed over."""
    return (letters.num_bases - letters.num_letters).abs() + BAND


def turned(tokens: Int[Tensor, "rows time"]) -> Int[Tensor, "rows time"]:
    """Reverse complements, padded on the right again."""
    is_real = tokens != PAD
    turned = torch.where(is_real, 5 - tokens, PAD).flip(1)
    order = (turned == PAD).int().argsort(dim=1, stable=True)
    return turned.gather(1, order)
