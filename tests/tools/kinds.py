"""Small data of every kind of task, input and context, for the tests of tasks and of the loop."""

import torch
from forms import ANY_MODEL, FEATURES, LETTERS, spec_of
from torch import Tensor

from seqexp.build import scored
from seqexp.data import Data, Sequences
from seqexp.spec import IGNORE, Features, Input, Output, TaskSpec

TIME = 7


def inputs_of(made_of: Input, rows: int, generator: torch.Generator, time: int = TIME) -> Tensor:
    """Sequences of random lengths, padded on the right."""
    lengths = torch.randint(2, time + 1, (rows, 1), generator=generator)
    is_padding = torch.arange(time) >= lengths  # (rows, time)
    if isinstance(made_of, Features):
        values = torch.randn(rows, time, made_of.size, generator=generator)
        return values.masked_fill(is_padding[..., None], torch.nan)
    ids = torch.randint(1, len(made_of), (rows, time), generator=generator)
    return ids.masked_fill(is_padding, 0)


def split_of(spec: TaskSpec, rows: int, seed: int) -> Sequences:
    """Targets follow from the input; about a tenth of them is not scored."""
    generator = torch.Generator().manual_seed(seed)
    tokens = inputs_of(spec.input, rows, generator)
    is_padding = tokens[..., 0].isnan() if spec.features is not None else tokens == 0
    first = (tokens.nan_to_num(0.0)[..., 0] > 0).long() if spec.features is not None else tokens % 2
    count = spec.num_outputs
    if spec.output is Output.NEXT_TOKEN:
        targets = tokens.roll(-1, dims=1)
        targets[:, -1] = IGNORE
        targets = targets.masked_fill(is_padding | (targets == 0), IGNORE)
    elif spec.output is Output.TOKEN_CLASS:
        targets = (first + torch.arange(TIME) % 2).masked_fill(is_padding, IGNORE)
    elif spec.output is Output.SEQUENCE_CLASS:
        targets = first[:, :1]
    else:
        of_each = torch.stack([(first[:, 0] + i) % 2 for i in range(count)], dim=1)
        hidden = torch.rand(rows, count, generator=generator) < 0.1
        hidden[0] = False
        if spec.output is Output.REGRESSION:
            noise = torch.randn(rows, count, generator=generator)
            targets = (20.0 + 5 * of_each + noise).masked_fill(hidden, torch.nan)
        else:
            targets = of_each.masked_fill(hidden, IGNORE)
    context = None if spec.context is None else inputs_of(spec.context, rows, generator, 5)
    return Sequences(tokens, targets, context=context)


def data_of(
    output: Output,
    made_of: Input = LETTERS,
    context: Input | None = None,
    rows: int = 24,
    class_weights: object = "none",
    loss: str = "gaussian",
) -> Data:
    """A dataset, with the choices of the config in its spec."""
    spec = spec_of(output, made_of, context)
    train, valid, test = (split_of(spec, rows, seed) for seed in range(3))
    data = Data(spec, train, valid, test)
    return scored(data, {"class_weights": class_weights, "loss": loss})


FORMS = [
    *((output, LETTERS, None) for output in ANY_MODEL),
    *((output, FEATURES, None) for output in ANY_MODEL if output is not Output.NEXT_TOKEN),
    *((output, LETTERS, FEATURES) for output in ANY_MODEL),
    (Output.NEXT_TOKEN, LETTERS, LETTERS),
]
"""Every kind, on tokens and on features, with and without a context."""


def name_of(form: object) -> str:
    """Of a case of `FORMS`, for pytest."""
    names = {LETTERS: "letters", FEATURES: "features", None: "no context"}
    return form.value if isinstance(form, Output) else names.get(form, "")  # type: ignore[call-overload]
