"""Callbacks of a user's own: `callbacks.NAME` with a `_target_`.

What they do goes through here, so that an error names the class, and so that a training stays the
one that it would be without them.
"""

import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from seqexp.build import own_object
from seqexp.callback.base import Callback, Observed
from seqexp.checkpoint.encode import decode, encode
from seqexp.checkpoint.result import Result
from seqexp.config.groups import Config
from seqexp.errors import InputError
from seqexp.metrics import METRICS, OWN, without_name
from seqexp.trainer.training import Report
from seqexp.utils.own_code import blamed
from seqexp.utils.phases import WRITING

log = logging.getLogger("seqexp")

METRIC = re.compile(r"[A-Za-z0-9_./ -]{1,200}")
"""A name that MLflow takes for a metric."""


class OwnObserved(Observed):
    """A run as a user's callback sees it: it may add metrics of names that no other has."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Add a point to each of these curves.

        Raises:
            InputError: if a name is taken or has other characters, or a value is no finite number.
        """
        for name, value in metrics.items():
            if not isinstance(name, str) or not METRIC.fullmatch(name):
                raise InputError(
                    f"log: {name!r} is no name of a metric; give letters, digits, _-./"
                )
            if without_name(name) in METRICS or name in OWN:
                raise InputError(f"log: {name} is a metric of seqexp's own; give another name")
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise InputError(f"log: {name} is {value!r}; give a finite number")
        super().log({name: float(value) for name, value in metrics.items()}, int(step))


def own_callbacks(config: Config, run: Observed) -> list[Callback]:
    """The callbacks that a config has of a user's own, in its order.

    Raises:
        InputError: if one cannot be made, or is none.
    """
    seen = OwnObserved(*(getattr(run, field.name) for field in fields(Observed)))
    found: list[Callback] = []
    for name, node in (config.get("callbacks") or {}).items():
        inner = own_object(f"callbacks.{name}", node, run=seen)
        target = str(node["_target_"])
        if not isinstance(inner, Callback):
            raise InputError(
                f"callbacks.{name} ({target}) is a {type(inner).__name__}; give a subclass of"
                " seqexp.callback.base.Callback"
            )
        found.append(Own(name, target, inner, run))
    return found


class Own(Callback):
    """Calls a user's callback at the moments for which it defines a method.

    Args:
        key: its name in the config.
        target: dotted name of its class.
        inner: the user's.
        run: that it looks at.
    """

    def __init__(self, key: str, target: str, inner: Callback, run: Observed) -> None:
        self.name = f"callbacks.{key}"
        self.called, self.inner, self.run = f"callbacks.{key} ({target})", inner, run
        self.doing = (f"callbacks.{key}", WRITING)

    def tags(self) -> dict[str, str]:
        """The user's tags: texts, of names that are not seqexp's or MLflow's."""
        found = self._call("tags", self.inner.tags)
        if not isinstance(found, dict):
            raise InputError(f"{self.called}: tags returns {found!r:.100}; give texts by name")
        for key, value in found.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise InputError(f"{self.called}: tags has {key!r}: {value!r:.100}; give texts")
            if key.startswith(("seqexp.", "mlflow.")):
                raise InputError(f"{self.called}: tags has {key!r}; give a name of your own")
        return found

    def before(self) -> None:
        """Before the first update of this process."""
        self._call("before", self.inner.before)

    def after(self, report: Report) -> None:
        """After a report of the loop."""
        self._call("after", self.inner.after, report)

    def at_test(self) -> None:
        """When the model holds the weights that were tested, before any `at_end`."""
        self._call("at_test", self.inner.at_test)

    def at_end(self, result: Result) -> None:
        """When the model holds the weights that were tested."""
        self._call("at_end", self.inner.at_end, result)

    def close(self) -> None:
        """Close it; an error is said, so that the others are closed too."""
        try:
            self._call("close", self.inner.close)
        except InputError as error:
            log.error(str(error))

    def state(self) -> dict[str, Any]:
        """A copy of its state."""
        found = self._call("state", self.inner.state)
        if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
            raise InputError(f"{self.called}: state returns {found!r:.100}; give values by name")
        try:
            copied: dict[str, Any] = decode(*encode(found))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{self.called}: state{error}; give tensors, numbers, texts, lists and mappings"
            ) from error
        return copied

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from a checkpoint."""
        self._call("restore", self.inner.restore, state)

    def _call(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call it; the model stays in the mode in which it was.

        Raises:
            InputError: if it fails, or has changed a weight.
        """
        if getattr(type(self.inner), what) is getattr(Callback, what):
            return {} if what in ("tags", "state") else None  # it defines no such method
        model: Any = self.run.training.model
        weights = self.run.training.parameters
        was, versions = model.training, [weight._version for weight in weights.values()]
        try:
            with blamed(f"{self.called}: {what}"):
                found = function(*arguments)
        except InputError as error:
            if self.called in str(error):
                raise
            raise InputError(f"{self.called}: {what}: {error}") from error
        finally:
            if model.training != was:
                model.train(was)
        for (name, weight), version in zip(weights.items(), versions, strict=True):
            if weight._version != version:
                raise InputError(
                    f"{self.called}: {what} has changed {name}; a callback looks at a model and"
                    " changes nothing: take a copy (detach().clone())"
                )
        return found
