"""The tables of a sweep: a row a run, and over seeds a row a point."""

import csv
import io
import logging
import math
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from seqexp.metrics import DECODED, HEADLINE, MEASURES, OF_KIND, OWN, higher_is_better
from seqexp.sweep.manifest import SEED, Entry, Manifest
from seqexp.sweep.statistics import METHOD, OF_FOLDS, Compared, Paired, Point, Spread, compare
from seqexp.utils import names, table
from seqexp.utils.names import one_line

log = logging.getLogger("seqexp")

Row = dict[str, Any]

MAX_CELL = 240
"""Characters of a cell; the CSV files have all."""

MAX_ROWS = 24
"""Of a table in a terminal; the file has all."""

NARROW = ("run id", "error")
"""Columns that a terminal has no room for."""


# --- a row a run ------------------------------------------------------------------------------


def rows_of_runs(manifest: Manifest) -> list[Row]:
    """One row a job, the best by the optimized metric first."""
    metric = manifest.by
    entries = list(manifest.jobs.values())
    columns = list(dict.fromkeys([metric, *shown({n for entry in entries for n in entry.metrics})]))
    rows = [_row(entry, manifest.swept, columns) for entry in entries]
    sign = -1 if higher_is_better(metric) else 1

    def order(row: Row) -> tuple[bool, float]:
        value = row[metric]
        is_number = value is not None and not math.isnan(value)
        return (not is_number, sign * value if is_number else 0.0)

    return sorted(rows, key=order)


def shown(reported: Collection[str]) -> list[str]:
    """Of the metrics that runs report, those of the table: headlines of their kind of task."""
    measures = [*DECODED, *headline(reported), "loss_nats", "bits_per_token"]
    wanted = (
        *(f"test/{name}" for name in measures),
        *(name for name in OWN if not name.startswith("valid/")),
        *(f"best/valid_{name}" for name in headline(reported)),
        *("best/valid_accuracy_max", "best/valid_loss_nats", "motif/correlation"),
    )
    return [name for name in wanted if name in reported]


def headline(reported: Collection[str]) -> tuple[str, ...]:
    """The headline of the kind of task that reports these metrics, by the measures of its test.

    Of the kinds that have them all, the one that has fewest others.
    """
    measures = {name.removeprefix("test/") for name in reported if name.startswith("test/")}
    measures = {name for name in measures if name in MEASURES}
    fitting = [kind for kind, known in OF_KIND.items() if measures <= set(known)]
    if not measures or not fitting:
        return tuple(dict.fromkeys(name for names in HEADLINE.values() for name in names))
    return HEADLINE[min(fitting, key=lambda kind: len(OF_KIND[kind]))]


def _row(entry: Entry, swept: Sequence[str], columns: Sequence[str]) -> Row:
    given = entry.given
    return {
        **{key: given.get(key, "") for key in swept},
        "status": "NOT RUN" if entry.state == "PENDING" else entry.state,
        **{name: entry.metrics.get(name) for name in columns},
        "seconds": round(entry.seconds, 1),
        "run id": entry.run_id or "",
        "error": entry.error.partition("\n")[0],
    }


# --- a row a point ----------------------------------------------------------------------------


def points_of(manifest: Manifest) -> list[Point]:
    """The combinations of values without their seeds and folds."""
    found: dict[str, list[Entry]] = {}
    for entry in manifest.jobs.values():
        found.setdefault(manifest.point(entry), []).append(entry)
    return [
        Point(
            label,
            {e.repeat: e.metrics for e in entries if e.state == "FINISHED"},
            len(entries),
            entries[0].fold[1] if manifest.has_folds else None,
        )
        for label, entries in found.items()
    ]


def has_seeds(points: Sequence[Point]) -> bool:
    """Whether some point was run with several seeds or folds."""
    return any(point.jobs > 1 for point in points)


def test_metric(metric: str, points: Sequence[Point]) -> str | None:
    """The metric of the test that is compared beside the one that is optimized.

    The same measure; where that is the loss, the headline of the kind of task.
    """
    reported = {name for point in points for metrics in point.runs.values() for name in metrics}
    measure = metric.rpartition("/")[2].removeprefix("valid_")
    measures = [*headline(reported), "loss_nats"]
    if measure not in ("loss_nats", measures[0]):
        measures.insert(0, measure)
    wanted = [f"test/{name}" for name in measures]
    return next((name for name in wanted if name in reported and name != metric), None)


def compared(manifest: Manifest) -> list[Compared]:
    """The points, the best first, each beside the best."""
    points, metric = points_of(manifest), manifest.by
    return compare(points, metric, test_metric(metric, points), higher_is_better(metric))


def rows_of_points(manifest: Manifest) -> list[Row]:
    """One row a point, the best first, in numbers."""
    metric = manifest.by
    test = test_metric(metric, points_of(manifest))
    rows = []
    for found in compared(manifest):
        row: Row = {"point": found.point.label, "jobs": found.point.jobs}
        row |= _spread_columns(metric, found.point.spread(metric))
        row |= _paired_columns(metric, found.difference)
        row["verdict"] = found.verdict
        if test is not None:
            row |= _spread_columns(test, found.point.spread(test))
            row |= _paired_columns(test, found.test_difference)
        row |= pooled_columns(manifest, found.point)
        rows.append(row)
    return rows


def _spread_columns(metric: str, spread: Spread | None) -> Row:
    names = {"n": "n", "mean": "mean", "sd": "standard deviation", "low": "min", "high": "max"}
    return {f"{metric} {name}": getattr(spread, key, None) for key, name in names.items()}


def _paired_columns(metric: str, paired: Paired | None) -> Row:
    names = {"n": "shared seeds", "mean": "mean", "low": "low", "high": "high", "p": "p"}
    return {f"{metric} behind best, {n}": getattr(paired, key, None) for key, n in names.items()}


def short_rows_of_points(manifest: Manifest) -> list[Row]:
    """One row a point, the best first, for people."""
    metric = manifest.by
    test = test_metric(metric, points_of(manifest))
    rows = []
    for found in compared(manifest):
        point = found.point
        spread = point.spread(metric)
        n = spread.n if spread is not None else 0
        row: Row = {
            "point": point.label,
            "n": f"{n}" if n == point.jobs else f"{n} of {point.jobs}",
            metric: plus_minus(spread),
            "min to max": f"{spread.low:.4g} to {spread.high:.4g}" if spread and n > 1 else "",
            "behind the best": interval(found.difference),
            "verdict": found.verdict,
        }
        if test is not None:
            row[test] = plus_minus(point.spread(test))
            row["behind it in the test"] = interval(found.test_difference)
        row |= short_pooled_columns(manifest, found.point)
        rows.append(row)
    return rows


def pooled_columns(manifest: Manifest, point: Point) -> Row:
    """Of each metric of all folds together, the mean over seeds; None where a fold lacks."""
    return {name: getattr(one, "mean", None) for name, one in _pooled(manifest, point).items()}


def short_pooled_columns(manifest: Manifest, point: Point) -> Row:
    """The headlines of the same, for people."""
    found = _pooled(manifest, point)
    measures = headline({name.replace("pooled/", "test/") for name in found})
    wanted = [f"pooled/{name}" for name in measures]
    return {name: plus_minus(found[name]) for name in wanted if name in found}


def _pooled(manifest: Manifest, point: Point) -> dict[str, Spread | None]:
    """Each metric that some point has of all its folds together, over seeds."""
    known = {name for seeds in manifest.pooled.values() for one in seeds.values() for name in one}
    runs = manifest.pooled.get(point.label, {})
    seeds = Point(point.label, {int(seed): found for seed, found in runs.items()}, len(runs))
    return {name: seeds.spread(name) for name in sorted(known)}


def plus_minus(spread: Spread | None) -> str:
    """`0.123 ± 0.004`: mean and standard deviation over seeds, to digits that mean something."""
    if spread is None:
        return ""
    if spread.sd is None or spread.sd == 0:
        return f"{spread.mean:.4g}" if spread.sd is None else f"{spread.mean:.4g} ± 0"
    places = min(8, max(0, 1 - math.floor(math.log10(spread.sd))))
    return f"{spread.mean:.{places}f} ± {spread.sd:.{places}f}"


def interval(paired: Paired | None) -> str:
    """`0.02 [0.01, 0.03]`: mean difference and its interval."""
    if paired is None:
        return ""
    if paired.low is None or paired.high is None:
        return f"{paired.mean:+.3g}"
    return f"{paired.mean:+.3g} [{paired.low:+.3g}, {paired.high:+.3g}]"


# --- texts ------------------------------------------------------------------------------------


def say_table(manifest: Manifest) -> None:
    """The table in the terminal, and where to look."""
    log.info(f"\n{table_text(manifest)}")
    if manifest.said:
        log.info(f"\n{manifest.said}")
    if manifest.links:
        log.info("\n" + table.pairs(manifest.links.items(), width=12))


def table_text(manifest: Manifest) -> str:
    """What a terminal has room for: points where there are seeds, else runs."""
    if has_seeds(points_of(manifest)):
        width = min(100, table.columns() or 100)
        method = textwrap.fill(_method(manifest).replace("*", ""), width)
        return f"{markdown(short_rows_of_points(manifest), MAX_ROWS)}\n\n{method}"
    return markdown(_without(rows_of_runs(manifest), NARROW), MAX_ROWS)


def page(manifest: Manifest) -> str:
    """The sweep's page: points and how they were compared, and every run."""
    runs = markdown(rows_of_runs(manifest), cell=on_a_page)
    if manifest.said:
        said = "\n\n".join(names.markdown(line) for line in manifest.said.splitlines())
        runs = f"{said}\n\n{runs}"
    if not has_seeds(points_of(manifest)):
        return runs
    points = markdown(short_rows_of_points(manifest), cell=on_a_page)
    return f"{points}\n\n{_method(manifest)}\n\n{runs}"


def _method(manifest: Manifest) -> str:
    better = "higher" if higher_is_better(manifest.by) else "lower"
    more = OF_FOLDS if manifest.has_folds else ""
    both = "seeds and folds" if SEED in manifest.swept else "folds"
    method = METHOD.format(repeats=both if manifest.has_folds else "seeds")
    if manifest.by != manifest.metric:
        more += f" No run reports {manifest.metric}, so they are compared by {manifest.by}."
    return f"{method}{more} {manifest.by}: {better} is better."


def _without(rows: Sequence[Row], columns: Iterable[str]) -> list[Row]:
    return [{k: v for k, v in row.items() if k not in columns} for row in rows]


def markdown(
    rows: Sequence[Mapping[str, Any]],
    most: int | None = None,
    cell: Callable[[Any], str] | None = None,
) -> str:
    """A table, without columns that are empty; of at most so many rows, if that is given.

    `cell` writes a value, as a page needs it; None as a terminal does.
    """
    write = cell or _shown
    said = rows if most is None or len(rows) <= most else rows[: most - 1]
    columns = [key for key in rows[0] if any(row[key] not in ("", None) for row in rows)]
    cells = [[write(row[column]) for column in columns] for row in said]
    text = table.fitted(columns, cells, table.columns() if cell is None else None)
    left = len(rows) - len(said)
    return f"{text}\n... and {left} more, in the sweep's page" if left else text


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return one_line(str(value), MAX_CELL).replace("|", "/")


def on_a_page(value: Any) -> str:
    """A cell that a page cannot take for markup."""
    return names.markdown(_shown(value))


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The same rows for other programs."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
