"""What single sequences of the test say: intervals of its measures, and those that went worst."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from seqexp.callback.base import Observed
from seqexp.formats.ends import ends_of
from seqexp.inference.text import joined
from seqexp.spec import Output, TaskSpec, Vocabulary, is_real, is_scored
from seqexp.task import kinds
from seqexp.task.base import Cell
from seqexp.task.intervals import Interval, of_auroc, of_mean, of_share
from seqexp.task.sequence_class import probabilities
from seqexp.utils.names import one_line

WORST = 20
"""Sequences that are shown."""

SHOWN = 200
"""Symbols of each."""

MOST_CLASSES = 60
"""That a table has a row of."""

OF_CLASSES = (Output.SEQUENCE_CLASS, Output.TOKEN_CLASS, Output.NEXT_TOKEN)


def costs(spec: TaskSpec, kept: Mapping[str, Tensor]) -> Float[Tensor, " predictions"]:
    """What each prediction costs, nats; of numbers the mean error in standard deviations.

    Args:
        spec: of the dataset.
        kept: `logits` and `targets` of the test, as `Predicted.tensors` has them.
    """
    logits, targets = kept["logits"], kept["targets"]
    if spec.output in OF_CLASSES:
        shares = probabilities(logits).gather(1, targets.long()[:, :1])[:, 0]
        return -shares.clamp(min=1e-30).log()
    known = is_scored(targets)
    if spec.output is Output.MULTI_LABEL:
        wanted = targets.clamp(min=0).to(logits.dtype)
        each = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    else:
        values = torch.tensor(kinds.of(spec).predictions(logits[:, None]), dtype=torch.float64)
        spread = _spread(targets.double(), known)
        each = ((values - targets.double()).abs() / spread).float()
    return each.where(known, 0.0).sum(dim=1) / known.sum(dim=1).clamp(min=1)


def _spread(targets: Tensor, known: Tensor) -> Tensor:
    """Standard deviation of each number over the test; 1 where it does not vary."""
    count = known.sum(dim=0).clamp(min=1)
    mean = targets.where(known, 0.0).sum(dim=0) / count
    spread = ((targets - mean).where(known, 0.0) ** 2).sum(dim=0) / count
    return spread.sqrt().where(spread > 0, 1.0)


def intervals(spec: TaskSpec, kept: Mapping[str, Tensor]) -> dict[str, Interval]:
    """95 % intervals of some measures of the test by name, over its sequences.

    Nothing of one stream of text, which is no sample of texts.
    """
    numbers = kept["numbers"].numpy()
    if len(np.unique(numbers)) < 2:
        return {}
    found: dict[str, Interval | None] = {}
    if spec.output in OF_CLASSES:
        logits, targets = kept["logits"], kept["targets"][:, 0].long()
        right = (probabilities(logits).argmax(dim=1) == targets).numpy()
        if spec.per_position:
            found["accuracy"] = _by_sequence(right.astype(float), numbers)
        else:
            found["accuracy"] = of_share(int(right.sum()), len(right))
        if spec.output is Output.NEXT_TOKEN:
            loss = _by_sequence(costs(spec, kept).double().numpy(), numbers)
            found["perplexity"] = None if loss is None else (math.exp(loss[0]), math.exp(loss[1]))
        elif not spec.per_position and len(spec.output_names) == 2:
            log_odds = probabilities(logits)[:, 1].double().logit().numpy()
            found["auroc"] = of_auroc(log_odds, targets.numpy() == 1)
    elif spec.output is Output.REGRESSION:
        values = np.array(kinds.of(spec).predictions(kept["logits"][:, None]), dtype=float)
        errors = values - kept["targets"].double().numpy()
        known = ~np.isnan(errors)
        for name, each in (("mse", errors**2), ("mae", np.abs(errors))):
            sums = np.where(known, each, 0.0).sum(axis=1)
            found[name] = of_mean(sums, known.sum(axis=1).astype(float))
    return {name: one for name, one in found.items() if one is not None}


def _by_sequence(values: np.ndarray, numbers: np.ndarray) -> Interval | None:
    _, place = np.unique(numbers, return_inverse=True)
    return of_mean(np.bincount(place, values), np.bincount(place).astype(float))


def worst(run: Observed, kept: Mapping[str, Tensor]) -> list[dict[str, Cell]]:
    """The test's sequences that cost most, a row each; nothing of one stream of text."""
    spec, test = run.data.spec, run.data.test
    rows, place, mean = _by_row(spec, kept)
    if len(rows) < 2:
        return []
    order = mean.argsort(descending=True)[:WORST].tolist()
    return list(_rows(run, kept, place, mean, order, rows, test.names))


def worst_of(spec: TaskSpec, kept: Mapping[str, Tensor]) -> int:
    """The number of the test's row that costs most."""
    rows, _, mean = _by_row(spec, kept)
    return int(rows[int(mean.argmax())])


def _by_row(spec: TaskSpec, kept: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers of the rows of the test, the row of each prediction, and the mean cost of a row."""
    rows, place = torch.unique(kept["numbers"], return_inverse=True)
    sums = torch.zeros(len(rows)).index_add(0, place, costs(spec, kept).float())
    return rows, place, sums / torch.bincount(place)


def by_class(spec: TaskSpec, kept: Mapping[str, Tensor]) -> list[dict[str, Cell]]:
    """A row a class or label: how many there are in the test, precision, recall and F1.

    Nothing of numbers and next tokens, and of more than `MOST_CLASSES`.
    """
    logits, targets, names = kept["logits"], kept["targets"], spec.output_names
    if not 1 < len(names) <= MOST_CLASSES:
        return []
    if spec.output in (Output.SEQUENCE_CLASS, Output.TOKEN_CLASS):
        truth = functional.one_hot(targets[:, 0].long(), len(names)).bool()
        found = functional.one_hot(probabilities(logits).argmax(dim=1), len(names)).bool()
    elif spec.output is Output.MULTI_LABEL:
        known = is_scored(targets)
        truth, found = (targets == 1) & known, (logits > 0) & known
    else:
        return []
    both, there, said = ((part).sum(dim=0).tolist() for part in (truth & found, truth, found))
    return [
        {
            "class": one_line(name),
            "in the test": there[index],
            "predicted": said[index],
            "precision": _ratio(both[index], said[index]),
            "recall": _ratio(both[index], there[index]),
            "F1": _ratio(2 * both[index], there[index] + said[index]),
        }
        for index, name in enumerate(names)
    ]


def _ratio(count: int, of: int) -> float | str:
    return count / of if of else "-"


def _rows(
    run: Observed,
    kept: Mapping[str, Tensor],
    place: Tensor,
    mean: Tensor,
    order: Sequence[int],
    rows: Tensor,
    names: Sequence[str],
) -> Iterator[dict[str, Cell]]:
    spec, test = run.data.spec, run.data.test
    measure = "error, deviations" if spec.output is Output.REGRESSION else "cost, nats"
    for index in order:
        number = int(rows[index])
        of = (place == index).nonzero()[:, 0]
        said = _said(spec, kept["logits"][of], kept["targets"][of])
        row: dict[str, Cell] = {
            "name": names[number] if names else str(number + 1),
            measure: float(mean[index]),
            **said,
        }
        is_target = spec.output is Output.NEXT_TOKEN and spec.context is not None
        if isinstance(spec.context, Vocabulary) and test.context is not None:
            at = number if test.context_rows is None else int(test.context_rows[number])
            row["context"] = _shown(test.context[at], spec.context)
        if spec.features is None:
            tokens = test.tokens[number]
            has_begin = is_target and ends_of(spec.vocabulary.symbols) is not None
            row["target" if is_target else "sequence"] = _shown(
                tokens[1:] if has_begin else tokens, spec.vocabulary
            )
        yield row


def _shown(tokens: Tensor, vocabulary: Vocabulary) -> str:
    """The beginning of a sequence as text."""
    real = is_real(tokens[None])[0]
    shown = joined(tokens[real][:SHOWN].tolist(), vocabulary)
    return shown + ("..." if int(real.sum()) > SHOWN else "")


def _said(spec: TaskSpec, logits: Tensor, targets: Tensor) -> dict[str, Cell]:
    """What was true, and what the model says."""
    names = spec.output_names
    if spec.per_position:
        wrong = int((probabilities(logits).argmax(dim=1) != targets[:, 0]).sum())
        return {"wrong": f"{wrong:,} of {len(targets):,}"}
    if spec.output is Output.SEQUENCE_CLASS:
        shares = probabilities(logits)[0]
        likeliest = int(shares.argmax())
        truth, probability = names[int(targets[0, 0])], float(shares[likeliest])
        return {"true": truth, "predicted": names[likeliest], "probability": probability}
    known = is_scored(targets)[0].tolist()
    values = kinds.of(spec).predictions(logits[:, None])[0]
    given = zip(names, targets[0].tolist(), values, known, strict=True)
    pairs = [(name, target, value) for name, target, value, is_known in given if is_known]
    if len(names) == 1:  # the table's head says whether it is true
        pairs = [("", target, value) for _, target, value in pairs]
    true = ", ".join(f"{name} {target:.4g}".lstrip() for name, target, _ in pairs)
    found = ", ".join(f"{name} {value:.4g}".lstrip() for name, _, value in pairs)
    return {"true": one_line(true, 300), "predicted": one_line(found, 300)}
