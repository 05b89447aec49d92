"""Specs, inputs and models of every form, for the tests of models."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import yaml
from conftest import ROOT
from torch import Tensor

from seqexp.config.instantiate import build
from seqexp.config.own import arguments
from seqexp.model.layers import padded
from seqexp.spec import NO_SYMBOLS, Features, Input, Output, TaskSpec, Vocabulary

LETTERS = Vocabulary(("A", "C", "G", "T"))
FEATURES = Features(6)
ONE_KIND = {"read-errors", "ngrams", "kneser-ney"}
"""Models of some kinds of task alone."""

MODELS = sorted({file.stem for file in (ROOT / "conf" / "model").glob("*.yaml")} - ONE_KIND)
RECURRENT = [name for name in MODELS if name != "cnn1d"]
ANY_MODEL = [output for output in Output if output is not Output.READ_ERRORS]
"""Kinds of task that any model may have."""

OUTPUTS = {
    Output.SEQUENCE_CLASS: 2,
    Output.MULTI_LABEL: 3,
    Output.REGRESSION: 2,
    Output.TOKEN_CLASS: 3,
    Output.NEXT_TOKEN: 5,
}
"""Each kind, and how many outputs its specs have here."""


def spec_of(
    output: Output = Output.SEQUENCE_CLASS,
    made_of: Input = LETTERS,
    context: Input | None = None,
    length: int | None = None,
) -> TaskSpec:
    count = OUTPUTS[output]
    is_features = isinstance(made_of, Features)
    return TaskSpec(
        vocabulary=NO_SYMBOLS if is_features else made_of,
        num_outputs=count,
        output=output,
        output_names=tuple(f"output {index}" for index in range(count)),
        length=length,
        features=made_of if is_features else None,
        context=context,
    )


def sequences_of(made_of: Input, rows: int = 4, time: int = 9, seed: int = 1) -> Tensor:
    """Sequences without padding."""
    generator = torch.Generator().manual_seed(seed)
    if isinstance(made_of, Features):
        return torch.randn(rows, time, made_of.size, generator=generator)
    return torch.randint(1, len(made_of), (rows, time), generator=generator)


def model_of(name: str, spec: TaskSpec, **changes: Any) -> Any:
    """The model of a YAML file with these keys, in float64, without dropout."""
    torch.manual_seed(0)
    node = yaml.safe_load((ROOT / "conf" / "model" / f"{name}.yaml").read_text())
    small = {"num_filters": 5, "filter_width": 3} if name == "cnn1d" else {"hidden_size": 6}
    made = build(arguments("model", {**node, **small, **changes}), spec=spec)
    with torch.no_grad():  # also what starts as zero
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made.double().eval()


def logits_of(model: Any, tokens: Tensor, context: Tensor | None = None) -> Tensor:
    carry = None if context is None else model.read(context)
    logits: Tensor = model(tokens, carry)[0]
    return logits


@dataclass(frozen=True)
class Form:
    """A kind of prediction on an input, with or without a context."""

    output: Output
    made_of: Input
    context: Input | None

    def __str__(self) -> str:
        names = {LETTERS: "letters", FEATURES: "features", None: "nothing"}
        return f"{self.output.value}-{names[self.made_of]}-{names[self.context]}"

    @property
    def spec(self) -> TaskSpec:
        return spec_of(self.output, self.made_of, self.context)

    def tokens(self) -> Tensor:
        return sequences_of(self.made_of)

    def read(self) -> Tensor | None:
        return None if self.context is None else sequences_of(self.context, time=7, seed=2)


# to a model, several labels and numbers are as one label: one prediction a sequence
FORMS = [
    Form(output, made_of, context)
    for output in (Output.SEQUENCE_CLASS, Output.TOKEN_CLASS, Output.NEXT_TOKEN)
    for made_of in (LETTERS, FEATURES)
    for context in (None, LETTERS, FEATURES)
]


def shifted(tokens: Tensor) -> Iterator[tuple[Tensor, int]]:
    """The same with padding on either side, and where they begin now."""
    for before, after in ((3, 0), (0, 3), (2, 2)):
        yield padded(tokens, before, after), before
