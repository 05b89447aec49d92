"""Shows in MLflow how far back gradients reach: before training, on the way, at the end."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from seqexp.checkpoint.result import Result
from seqexp.data import Data
from seqexp.errors import InputError
from seqexp.interpret.gradient_flow.measure import (
    Flow,
    GradientFlow,
    Recurrent,
    draw_sample,
    measure,
)
from seqexp.tracking.tracker import Tracker
from seqexp.trainer.training import Report, Training


class Flowing:
    """Measures a recurrent model's gradient flow; does nothing unless `every_epochs` is given.

    Args:
        settings: what is measured, and how often; None measures nothing.
        tracker: where pictures go.
        training: whose model is measured.
        data: sequences to measure it on.

    Raises:
        InputError: if it is to be measured of a model that is not recurrent.
    """

    def __init__(
        self, settings: GradientFlow | None, tracker: Tracker, training: Training, data: Data
    ) -> None:
        self.every = settings.every_epochs if settings is not None else None
        self.tracker, self.training = tracker, training
        self.flows: list[Flow] = []
        self.updates: list[tuple[int, float, float]] = []  # update, norm, norm after clipping
        # drawing takes longer than measuring: not where nobody would see it
        self.draws = tracker.keeps
        if settings is not None and self.every is not None:
            if not isinstance(training.model, Recurrent) or not training.model.causal:
                raise InputError(
                    f"gradient_flow.every_epochs is {self.every}, but the model has no recurrent"
                    " layers that read forward only; give gradient_flow.every_epochs=null"
                )
            sample = draw_sample(data.train, data.spec.output, settings, training.seed)
            self.sample = sample.to(training.device)

    def is_due(self) -> bool:
        """Whether to measure now: before training, or after this epoch."""
        return self.every is not None and self.training.epoch % self.every == 0

    def measure(self) -> dict[str, float]:
        """Measure, and keep one image of the series; returns the metrics."""
        assert isinstance(self.training.model, Recurrent)
        flow = measure(self.training.model, self.sample, self.training.epoch)
        self.flows.append(flow)
        if self.draws:
            from seqexp.interpret.gradient_flow.figures import slider_image

            image = slider_image(self.flows)
            self.tracker.image(image, "gradient_flow", flow.epoch)
        return flow.metrics()

    def note(self, report: Report) -> None:
        """Keep what the loop says of the gradient's norm."""
        if self.every is not None and report.kind == "step":
            norms = report.metrics["step/grad_norm"], report.metrics["step/grad_norm_clipped"]
            self.updates.append((report.step, *norms))

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {"flows": [flow.to_dict() for flow in self.flows], "updates": list(self.updates)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.flows = [Flow.from_dict(flow) for flow in state["flows"]]
        self.updates = list(state["updates"])

    @contextmanager
    def drawn_at_the_end(self, result: Result) -> Iterator[None]:
        """Keep figure and table of all that was measured, also of a run that explodes."""
        try:
            yield
        finally:
            if self.flows:
                result.gradient_flow = [
                    {"epoch": flow.epoch, "log10_relative": flow.relative().round(4).tolist()}
                    for flow in (self.flows[0], self.flows[-1])
                ]
            if self.flows and self.draws:
                from seqexp.interpret.gradient_flow.figures import flow_figure

                figure = flow_figure(self.flows, self.updates, self.training.settings.clip_norm)
                self.tracker.figure(figure, "gradient_flow/gradient_flow.png")
                rows = [row for flow in self.flows for row in flow.rows()]
                self.tracker.table(rows, "gradient_flow/norms.json")
