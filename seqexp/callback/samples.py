"""Keeps in MLflow what a next-token model writes, while it learns and at the end."""

import logging
from collections.abc import Mapping
from typing import Any

import torch

from seqexp.callback.base import Callback, Observed
from seqexp.checkpoint.result import Result
from seqexp.decode.base import WritesTexts
from seqexp.errors import InputError
from seqexp.inference import text
from seqexp.spec import PAD, Output
from seqexp.trainer.training import Report
from seqexp.utils.names import one_line
from seqexp.utils.phases import INTERPRETING

log = logging.getLogger("seqexp")

SHORT = 30
"""Tokens of a text for which the table of all next-token probabilities is shown."""


class Samples(Callback):
    """Continues a prompt with a model; does nothing for one that classifies or reads a context.

    Args:
        decoder: how to write; None, or what only decodes reads, writes nothing.
        run: whose model writes; the first symbol of its training text begins without a prompt.

    Raises:
        InputError: if the prompt has a symbol that the text lacks.
    """

    doing = ("writing samples of text", INTERPRETING)
    name = "write"

    def __init__(self, decoder: object, run: Observed) -> None:
        data = run.data
        writes = data.spec.output is Output.NEXT_TOKEN and data.spec.context is None
        self.settings = decoder if writes and isinstance(decoder, WritesTexts) else None
        self.tracker, self.training, self.data = run.tracker, run.training, data
        self.pages: list[str] = []
        self.final = ""
        if self.settings is not None:
            try:
                prompt = text.encode(self.settings.prompt, data.spec)
            except InputError as error:
                raise InputError(f"decode.prompt: {error}") from error
            self.prompt = data.train.tokens[0, :1].tolist() if prompt == [PAD] else prompt

    def is_due(self) -> bool:
        """Whether to write after this epoch."""
        every = self.settings.every_epochs if self.settings is not None else None
        return every is not None and self.training.epoch % every == 0

    def after(self, report: Report) -> None:
        """After some epochs, keep what the model writes."""
        if report.kind != "epoch" or not self.is_due():
            return
        epoch = self.training.epoch
        page = self._page(f"after epoch {epoch}")
        self.tracker.text(page, f"samples/epoch_{epoch:04d}.txt")
        self.pages.append(page)
        self.tracker.text("\n\n".join(reversed(self.pages)), "samples/all.txt")

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {"pages": list(self.pages)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.pages = list(state["pages"])

    def at_end(self, result: Result) -> None:
        """Keep and say what the tested weights write, and for a short text what they expect."""
        if self.settings is None:
            return
        self.final = page = self._page("with the tested weights")
        self.tracker.text(page, "samples/final.txt")
        log.info("\n" + page)
        if self.data.train.tokens.numel() <= SHORT:
            rows = self._next_token_table()
            self.tracker.table(rows, "samples/probabilities.json")
            header = "  ".join(f"{one_line(name):>6}" for name in rows[0])
            lines = ["  ".join(_cell(value) for value in row.values()) for row in rows]
            log.info("\n".join(["", "probability of the next symbol", header, *lines]))

    def _page(self, title: str) -> str:
        assert self.settings is not None
        training, spec = self.training, self.data.spec
        return "\n".join(
            f"--- {title}, {what} ---\n{text.decode([*self.prompt, *written], spec)}"
            for what, written in self.settings.write(training.model, self.prompt, training.device)
        )

    @torch.no_grad()
    def _next_token_table(self) -> list[dict[str, Any]]:
        """What the model expects after each symbol of the training text."""
        spec, tokens = self.data.spec, self.data.train.tokens[:1].long()
        logits, _ = self.training.model.eval()(tokens.to(self.training.device))
        probabilities = torch.softmax(logits[0].double(), dim=1).cpu()
        return [
            {
                "after": text.decode([index], spec),
                **{
                    symbol: float(row[column])
                    for column, symbol in enumerate(spec.vocabulary.symbols, start=1)
                },
            }
            for index, row in zip(tokens[0].tolist(), probabilities, strict=True)
        ]


def _cell(value: Any) -> str:
    return f"{value:6.3f}" if isinstance(value, float) else f"{one_line(value):>6}"
