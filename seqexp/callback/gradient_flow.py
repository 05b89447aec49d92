"""Shows in MLflow how far back gradients reach: before training, on the way, at the end."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seqexp.callback.base import Callback, Observed
from seqexp.checkpoint.result import Result
from seqexp.errors import InputError
from seqexp.interpret.gradient_flow.measure import (
    Flow,
    GradientFlow,
    Recurrent,
    draw_sample,
    measure,
)
from seqexp.trainer.training import Report
from seqexp.utils.phases import DRAWING

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # half a second, and only for its name


CALLED = "how far back gradients reach"
"""The figure, in the report."""


class Gradients(Callback):
    """Measures a recurrent model's gradient flow; does nothing unless `every_epochs` is given.

    Args:
        settings: what is measured, and how often; None measures nothing.
        run: whose model is measured, on some of its sequences.

    Raises:
        InputError: if it is to be measured of a model that is not recurrent.
    """

    doing = ("drawing how far back gradients reach", DRAWING)
    name = "flow"

    def __init__(self, settings: GradientFlow | None, run: Observed) -> None:
        training, data = run.training, run.data
        self.run, self.training, self.tracker = run, training, run.tracker
        self.every = settings.every_epochs if settings is not None else None
        self.flows: list[Flow] = []
        self.updates: list[tuple[int, float, float]] = []  # update, norm, norm after clipping
        self.figures: dict[str, Figure] = {}
        # drawing takes longer than measuring: not where nobody would see it
        self.draws = run.tracker.keeps
        if settings is not None and self.every is not None:
            if not isinstance(training.model, Recurrent) or not training.model.reads_forward:
                raise InputError(
                    f"gradient_flow.every_epochs is {self.every}, but the model has no recurrent"
                    " layers that read forward only; give gradient_flow.every_epochs=null"
                )
            sample = draw_sample(data.train, data.spec.output, settings, training.seed)
            self.sample = sample.to(training.device)

    def is_due(self) -> bool:
        """Whether to measure now: before training, or after this epoch."""
        return self.every is not None and self.training.epoch % self.every == 0

    def before(self) -> None:
        """Measure before the first update of all."""
        if self.training.step == 0 and self.is_due():
            self.measure(0)

    def after(self, report: Report) -> None:
        """Keep what the loop says of the gradient's norm, and measure after an epoch."""
        if self.every is not None and report.kind == "step":
            norms = report.metrics["step/grad_norm"], report.metrics["step/grad_norm_clipped"]
            self.updates.append((report.step, *norms))
        if report.kind == "epoch" and self.is_due():
            self.measure(report.step)

    def measure(self, epoch: int) -> None:
        """Measure, and keep one image of the series."""
        assert isinstance(self.training.model, Recurrent)
        given = (self.training.model, self.sample, self.training.epoch)
        flow = measure(*given, self.training.task.nats)
        self.flows.append(flow)
        if self.draws:
            from seqexp.interpret.gradient_flow.figures import slider_image

            image = slider_image(self.flows)
            self.tracker.image(image, "gradient_flow", flow.epoch)
        self.run.log(flow.metrics(), epoch)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {"flows": [flow.to_dict() for flow in self.flows], "updates": list(self.updates)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.flows = [Flow.from_dict(flow) for flow in state["flows"]]
        self.updates = list(state["updates"])

    def at_end(self, result: Result) -> None:
        """Draw all that was measured, for the report."""
        if self.draws and self.flows:
            self.figures[CALLED] = self._figure()

    def _figure(self) -> "Figure":
        from seqexp.interpret.gradient_flow.figures import flow_figure

        return flow_figure(self.flows, self.updates, self.training.settings.clip_norm)

    def close(self) -> None:
        """Keep figure and table of all that was measured, also of a run that explodes."""
        if not self.flows:
            return
        self.run.story.result.gradient_flow = [
            {"epoch": flow.epoch, "log10_relative": flow.relative().round(4).tolist()}
            for flow in (self.flows[0], self.flows[-1])
        ]
        if self.draws:
            figure = self.figures.get(CALLED) or self._figure()
            self.tracker.figure(figure, "gradient_flow/gradient_flow.png")
            rows = [row for flow in self.flows for row in flow.rows()]
            self.tracker.table(rows, "gradient_flow/norms.json")
