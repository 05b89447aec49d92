"""The columns and charts of an experiment's page in MLflow, as a shared view holds them.

Source: MLflow's pages write the same JSON when a person shares a view. Without it, the table has no
metrics and no parameters, cuts names, and its charts begin with single values.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from seqexp.metrics import IN_TRAINING

MORE_COLUMNS = (
    "metrics.`time/train_seconds`",
    "params.`model`",
    "params.`dataset`",
    "params.`seed`",
    "params.`optimizer.lr`",
)
"""Of the table of runs, after the metric that it is sorted by, those of the test, and the keys by
which runs differ."""

MAX_KEYS = 10
"""Columns of keys that tell runs apart: the last ones that were given."""

NAME, CREATED, DURATION = "attributes.`Run Name`", "runDateAndNestInfo", "duration"
"""Columns of MLflow's own."""

NAME_PIXELS, PIXELS, LETTER_PIXELS = 300, 90, 8
"""Width of the column of names, and of another at least, and of a letter of its head."""

CURVES, IMAGES = "curves", "images"
"""Our sections of charts; the others are MLflow's, by the first part of a metric's name."""

SECTIONS = (
    *("valid", "train", "test", "best", "step", "grad", "gradient_flow", "motif", "reads"),
    *("calibration", "baseline", "speed", "time", "model"),
)
"""Their order: curves come first, and single values last."""

IMAGE = "filters"
"""Key of the series of images, see `callback/filters.py`."""


def view_of_runs(
    metric: str,
    descending: bool,
    headline: Sequence[str] = ("accuracy",),
    keys: Sequence[str] = (),
    known: str | None = None,
) -> tuple[str, str]:
    """A tag of an experiment, and its value, by which that page shows what matters.

    Args:
        metric: that runs are sorted by.
        descending: whether the highest comes first.
        headline: the measures of the test that the kind of task is judged by.
        keys: of the config, by which a run differs from others.
        known: the value of the tag, whose keys stay.
    """
    sorted_by = f"metrics.`{metric}`"
    tests = [f"metrics.`test/{name}`" for name in (*headline, "loss_nats")]
    shown = list(dict.fromkeys([*_known(known), *keys]))[-MAX_KEYS:]
    apart = [f"params.`{key}`" for key in shown]
    metrics = [sorted_by, *tests]
    columns = list(dict.fromkeys([*metrics, *apart, *MORE_COLUMNS]))
    order = [NAME, CREATED, DURATION, *columns]
    state = {
        "selectedColumns": columns,
        "columnOrder": order,
        "columnWidths": {column: _width(column) for column in order},
        "orderByKey": sorted_by,
        "orderByAsc": not descending,
        "isAccordionReordered": True,
        "compareRunSections": [_section(name) for name in (CURVES, IMAGES, *SECTIONS)],
        "compareRunCharts": [*_charts(headline)],
        "seqexp": shown,
    }
    return f"mlflow.sharedViewState.{key_of_view(metric)}", json.dumps(state)


def key_of_view(metric: str) -> str:
    """The name of the view, in addresses."""
    return "seqexp-" + re.sub(r"[^a-zA-Z0-9]+", "-", metric)


def _known(value: str | None) -> list[str]:
    """Keys that the view has shown; none where another wrote it."""
    with suppress(ValueError, AttributeError):
        found = json.loads(value or "{}").get("seqexp", [])
        return [key for key in found if isinstance(key, str)] if isinstance(found, list) else []
    return []


def _width(column: str) -> int:
    if column == NAME:
        return NAME_PIXELS
    head = column.partition(".")[2].strip("`") or column
    return max(PIXELS, LETTER_PIXELS * len(head) + 40)


def _section(name: str) -> dict[str, Any]:
    return {
        "uuid": f"seqexp-{name}",
        "name": name,
        "display": True,
        "isReordered": True,
        "deleted": False,
        "isGenerated": False,
    }


def _charts(headline: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Training and validation in one chart of each measure; then how filters form."""
    for name in dict.fromkeys(("loss_nats", *headline)):
        splits = ("train", "valid") if name in IN_TRAINING else ("valid",)
        yield _line(name, [f"{split}/{name}" for split in splits])
    yield {
        **_card("IMAGE", IMAGE, IMAGES),
        "imageKeys": [IMAGE],
        "step": 1,  # the first epoch: at 0 there is none
        "showRunParams": False,  # they would take the place of the image
    }


def _card(kind: str, name: str, section: str) -> dict[str, Any]:
    return {
        "uuid": f"seqexp-{section}-{name}",
        "type": kind,
        "runsCountToCompare": 10,
        "metricSectionId": f"seqexp-{section}",
        "deleted": False,
        "isGenerated": False,
        "displayName": name,
    }


def _line(name: str, metrics: Sequence[str]) -> dict[str, Any]:
    return {
        **_card("LINE", name, CURVES),
        "metricKey": metrics[0],
        "selectedMetricKeys": list(metrics),
        "lineSmoothness": 0,
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "range": {},
        "xAxisKey": "step",
        "selectedXAxisMetricKey": "",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "ignoreOutliers": False,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }
