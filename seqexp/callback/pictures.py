"""Keeps pictures of the test with their questions, answers, and what the model looked at."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seqexp.callback.base import Callback, Observed
from seqexp.checkpoint.result import Result
from seqexp.data import Batch
from seqexp.inference import text
from seqexp.spec import Features, Output, ReadsContext, attends
from seqexp.utils.phases import DRAWING
from seqexp.utils.pixels import channels_of, picture_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # half a second, and only for its name

log = logging.getLogger("seqexp")

NUM_SHOWN = 16
"""Questions of the test that are drawn."""


class Pictures(Callback):
    """Draws questions on pictures at the end; does nothing where a class has no picture.

    Args:
        run: whose test is drawn.
    """

    doing = ("drawing pictures with their answers", DRAWING)

    def __init__(self, run: Observed) -> None:
        self.tracker, self.training, self.data = run.tracker, run.training, run.data
        self.figures: dict[str, Figure] = {}

    def before(self) -> None:
        """Say where attention is to be had that is not drawn."""
        spec = self.data.spec
        made_of, is_class = spec.context, spec.output is Output.SEQUENCE_CLASS
        is_picture = isinstance(made_of, Features) and channels_of(made_of.names) is not None
        is_drawn = spec.output is Output.NEXT_TOKEN or (is_class and is_picture)
        if self.tracker.keeps and attends(self.training.model) and not is_drawn:
            log.info("  attention is not drawn here; predict what=attention has its weights")

    def at_end(self, result: Result) -> None:
        """Draw some questions of the test, drawn by class, and what is attended to."""
        model, spec = self.training.model, self.data.spec
        is_class = spec.output is Output.SEQUENCE_CLASS and spec.num_outputs > 1
        if not (self.tracker.keeps and is_class and isinstance(model, ReadsContext)):
            return
        test = self.data.test
        few = test.chosen(test.drawn(NUM_SHOWN, self.training.seed).to(test.tokens.device))
        batch = next(few.batches(NUM_SHOWN))
        if batch.context is None or not isinstance(spec.context, Features):
            return
        names = spec.context.names
        pictures = [picture_of(rows, names) for rows in batch.context.float().cpu().numpy()]
        if channels_of(names) is None:
            return
        from seqexp.interpret.pictures import Said, attention_gallery, gallery  # Matplotlib

        answers, weights, shape = self._answers(batch)
        said = [
            Said(picture, self._lines(tokens, answer, target), answer == target)
            for picture, tokens, answer, target in zip(
                pictures, batch.tokens, answers, batch.targets[:, 0].tolist(), strict=True
            )
            if picture is not None
        ]
        self.figures["questions with their answers"] = gallery(said, "questions of the test")
        self.tracker.figure(self.figures["questions with their answers"], "pictures/answers.png")
        if weights is not None and len(shape) == 2:
            figure = attention_gallery(said, weights.numpy().reshape(-1, *shape))
            self.tracker.figure(figure, "pictures/attention.png")
            self.figures["what the answers looked at"] = figure

    @torch.no_grad()
    def _answers(self, batch: Batch) -> tuple[list[int], Tensor | None, Sequence[int]]:
        """The class of each row, and weights of attention with how they lie."""
        model, device = self.training.model, self.training.device
        assert batch.context is not None and isinstance(model, ReadsContext)
        model.eval()
        tokens, context = batch.tokens.to(device), batch.context.to(device)
        logits, _ = model(tokens, model.read(context))
        answers = logits[:, 0].argmax(dim=1).tolist()
        if not attends(model):
            return answers, None, ()
        weights = model.attention_weights(tokens, model.read(context))[:, -1]
        return answers, weights.float().cpu(), model.attended_shape(context)

    def _lines(self, tokens: Tensor, answer: int, target: int) -> list[str]:
        spec = self.data.spec
        question = text.decode(tokens.tolist(), spec)
        names = spec.output_names
        lines = [] if answer == target else [f"right is: {names[target]}"]
        return [question, *lines, names[answer]]
