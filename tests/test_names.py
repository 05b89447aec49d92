"""Names of every kind, wherever a name can stand: nothing that comes out is broken by one."""

import csv
import io
import json
import logging
import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from matplotlib.figure import Figure
from mlflow import MlflowClient
from omegaconf import OmegaConf

from seqexp.callback.console import description
from seqexp.checkpoint import identity
from seqexp.checkpoint.result import Result, Start
from seqexp.cli.predict import predict
from seqexp.cli.resolvers import folder_name
from seqexp.cli.store_location import place
from seqexp.cli.which import Which
from seqexp.config.check import check
from seqexp.config.groups import CONF
from seqexp.data import Pattern
from seqexp.errors import InputError
from seqexp.interpret.filters.card import card
from seqexp.interpret.filters.extraction import LearnedFilter
from seqexp.interpret.filters.figures import filter_figure
from seqexp.interpret.filters.match_figure import match_figure
from seqexp.interpret.filters.matrix import Match
from seqexp.interpret.filters.report import Page, report_page
from seqexp.interpret.filters.tomtom import Hit, Learned
from seqexp.interpret.gradient_flow.figures import comparison_figure
from seqexp.interpret.letters import NO_LETTER, label_of, letter_of
from seqexp.interpret.saliency.figure import where_figure
from seqexp.interpret.saliency.mutagenesis import Trace
from seqexp.run import run
from seqexp.spec import Output
from seqexp.sweep.figures import curves_figure, points_figure
from seqexp.sweep.manifest import Entry, Manifest
from seqexp.sweep.optuna.figure import history_figure
from seqexp.sweep.statistics import Point, compare
from seqexp.sweep.table import page as sweep_page
from seqexp.sweep.table import table_text
from seqexp.tracking.mlflow import MlflowTracker
from seqexp.tracking.tracker import RunFacts
from seqexp.utils.drawing import save
from seqexp.utils.names import markdown, one_line, shortened, visible
from seqexp.utils.streams import Seen, show
from seqexp.utils.terminal import Formatter, PlainFormatter

HOSTILE = (
    *(r"$\frac{x^{$", "$x$", "$", "a_b^c", r"\$\alpha", "_hidden", "^", "\\"),
    *("<script>alert(1)</script>", "</textarea>", "&amp;", '"><img src=x onerror=alert(1)>'),
    *("[x](javascript:alert(1))", "![x](http://a/b.png)", "a|b", "`a`", "<!-- x", "# a", "**a**"),
    *("\x1b[31mred", "\x1b]0;title\x07", "\x1b[2J", "a\rb", "a\bb", "\x9b31m", "\x7f", "a\0b"),
    *("=1+1", "@x", "-x", "+x", "'", '"', "a\nb", "a\tb", "a\u2028b"),
    *("\u202eabc", "\u2066abc", "\u200b", "a" + "\u0301" * 50, "\u0627\u0644", "\u4e2d\u6587"),
    *("\U0001f600", "\ud800", "x" * 10_000, "", " ", ".", "..", "../../x", "/", "a/b", "nan"),
    *("null", "%s", "{}", "{0}", "$(touch x)", "; rm -rf x", "~", "*", "?", "%20", "CON"),
)

OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What a terminal may obey, or turns what follows; written anew here."""

DNA = ("A", "C", "G", "T")
METRIC = "best/valid_loss_nats"

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


# --- the functions that show names -------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_shown_is_not_obeyed_and_has_an_end(name: str) -> None:
    assert not OBEYED.search(visible(name))
    line = one_line(name)
    assert not OBEYED.search(line) and "\n" not in line and "\t" not in line
    assert len(line) <= 60 and line.encode("utf-8") is not None
    assert len(shortened(name)) <= 1000
    assert not re.search(r"[<>|`\[\]*\\_!\"']", markdown(name))
    assert "://" not in markdown(name)


def test_what_is_harmless_is_shown_as_it_is() -> None:
    for name in ("MA0149.1 EWSR1-FLI1", "chr1:100-200(+)", "\u00e9\u4e2d\U0001f600", "a\nb\tc"):
        assert visible(name) == name
    assert one_line("a\nb\x1b[31m") == r"a\nb\x1b[31m"
    assert markdown("MA0149.1, p = 0.5 \u00b1 1e-08") == "MA0149.1, p = 0.5 \u00b1 1e-08"
    assert markdown("<b>|") == "&#60;b&#62;&#124;"
    long = shortened("/begin" + "x" * 5000 + "end")
    assert long.startswith("/begin") and long.endswith("end") and " ... " in long


@pytest.mark.parametrize("symbol", ["\x07", "\u0301", "\u200b", "\ud800", "\u2800", "\u3000"])
def test_a_symbol_without_a_letter_has_a_box_in_a_logo_and_a_number_on_an_axis(symbol: str) -> None:
    assert letter_of(symbol) == NO_LETTER
    assert label_of(symbol) == f"U+{ord(symbol):04X}"


# --- figures -----------------------------------------------------------------------------------


def learned(index: int, pattern: str, symbols: Sequence[str] = DNA) -> LearnedFilter:
    ppm = np.random.default_rng(index).dirichlet([0.2] * len(symbols), 2)
    match = Match(pattern, 0.9, 0, False)
    consensus = "".join(letter_of(symbol) for symbol in symbols)
    return LearnedFilter(index, ppm, ppm * 9, 9, consensus, (match,), match, slice(0, 2))


def chunks(size: int) -> Iterator[list[str]]:
    for start in range(0, len(HOSTILE), size):
        yield list(HOSTILE[start : start + size])


def drawn(figure: Figure) -> bytes:
    file = io.BytesIO()
    save(figure, file, dpi=12)
    return file.getvalue()


@pytest.mark.parametrize("names", list(chunks(14)), ids=range(len(list(chunks(14)))))
def test_figures_of_motifs_draw_every_name(names: list[str]) -> None:
    patterns = [Pattern(name, learned(0, "").ppm) for name in names]
    filters = [learned(index, name) for index, name in enumerate(names)]
    hits = [Hit(i, pattern, 1e-9, 1e-8, 0, 2, False) for i, pattern in enumerate(patterns)]
    figure = filter_figure(filters[:2], DNA, patterns, one_line(names[0]), 2)
    assert figure != match_figure(filters, hits, DNA, "x", len(names))
    assert card(filters[:1], DNA, patterns, one_line(names[0]))


def test_a_name_is_drawn_letter_by_letter_and_powers_of_ten_are_not() -> None:
    name = r"$\alpha$"
    moments = [{"epoch": epoch, "log10_relative": [0.0, -1.0, -9.0]} for epoch in (0, 9)]
    figure = comparison_figure([(name, moments)])
    assert [text.get_parse_math() for text in figure.legends[0].get_texts()][0] is False
    assert all(label.get_parse_math() for label in figure.axes[0].get_yticklabels())
    drawn(figure)


SYMBOLS = (
    "$",
    "_",
    "^",
    "\\",
    "{",
    "<",
    "&",
    "\x1b",
    "\x07",
    "\u0301",
    "\u200b",
    "\u202e",
    "\u4e2d",
)


def test_figures_of_odd_symbols_are_drawn() -> None:
    symbols = (*SYMBOLS, "\U0001f600", "\u2800", "\n", " ", "\0", "\ud800")
    filters = [learned(0, "x", symbols)]
    assert filter_figure(filters, symbols, [], "x", 1)
    assert card(filters, symbols, [], "x")
    letters = "".join(symbols)
    size = len(letters)
    changes = np.random.default_rng(0).normal(size=(size, size))
    trace = Trace(letters, 1.0, changes, np.ones((1, size)), 1)
    for name in HOSTILE[:3]:
        assert where_figure([trace], symbols, [0], name)


def test_figures_of_sweeps_draw_every_label() -> None:
    for names in chunks(14):
        points = [
            Point(f"a={n}", {s: {METRIC: s + i} for s in (0, 1)}, 2) for i, n in enumerate(names)
        ]
        drawn(points_figure(compare(points, METRIC, None, False), METRIC, False))
        drawn(curves_figure({name: [{1: 0.5, 2: 0.25}] for name in names}, names[0]))
        moments = [{"epoch": epoch, "log10_relative": [0.0, -1.0]} for epoch in (0, 9)]
        drawn(comparison_figure([(name, moments) for name in names]))


def test_a_search_draws_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    import optuna

    from seqexp.sweep.optuna import figure as search_figure

    study = optuna.create_study()
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=search_figure.MIN_TRIALS)
    shares = {name: 0.1 for name in HOSTILE}
    monkeypatch.setattr(search_figure, "_importances", lambda study: shares)
    drawn(history_figure(study, study.trials, HOSTILE[0]))


# --- pages and tables --------------------------------------------------------------------------


class Tags(HTMLParser):
    """The tags of a page, and what they say."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.add(tag)
        self.attributes |= {key for key, _ in attrs}


def test_the_report_holds_names_as_text() -> None:
    for names in chunks(8):
        patterns = [Pattern(name, learned(0, "").ppm) for name in names]
        filters = [learned(index, name) for index, name in enumerate(names)]
        hits = [Hit(i, pattern, 1e-9, 1e-8, 0, 2, False) for i, pattern in enumerate(patterns)]
        text = report_page(
            Page(
                title=names[0],
                history={},
                results=[{name: name for name in names}],
                baselines=[{name: name for name in names}],
                data=[{"fact": name, "value": name} for name in names],
                notes=names,
                learned=Learned(filters, hits, hits, 900, {"motif/recovered": 1.0}),
                symbols=DNA,
                output_names=tuple(names),
                max_shown=1,
            )
        )
        assert not OBEYED.search(text) and text.encode()
        tags = Tags()
        tags.feed(text)
        assert tags.found <= {
            *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "div"),
            *("table", "tr", "th", "td", "img"),
        }
        assert tags.attributes <= {"charset", "lang", "class", "alt", "src"}


def test_a_fact_of_a_motif_is_not_replaced_by_one_that_is_named_alike() -> None:
    known = [Hit(0, Pattern("information", learned(0, "").ppm), 1e-9, 1e-8, 0, 2, False)]
    found = Learned([learned(0, "x")], None, known, 900, {})
    page = Page("x", {}, [], [], [], [], found, DNA, ("a", "b"), 1)
    assert report_page(page).count("<td>information</td>") == 2


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_description_is_a_table_of_two_columns(name: str) -> None:
    hit = Hit(0, Pattern(name, learned(0, "").ppm), 1e-9, 1e-8, 0, 2, False)
    found = Learned([learned(0, "x")], None, [hit], 9, {})
    text = description(Result(), found, Output.SEQUENCE_CLASS)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(row.count("|") == 3 for row in rows) and len(text.splitlines()) == len(rows) + 3
    assert "<" not in text and not OBEYED.search(text)


def manifest(names: Sequence[str]) -> Manifest:
    """A sweep over names; it failed by each."""
    jobs = {
        str(i): Entry("f", [f"a={n}"], 0, "FAILED", "id", metrics={METRIC: 1.0}, error=n)
        for i, n in enumerate(names)
    }
    return Manifest(None, ["a"], METRIC, jobs=jobs)


def test_the_tables_of_a_sweep_have_a_row_a_run() -> None:
    for text in (table_text(manifest(HOSTILE[:20])), sweep_page(manifest(HOSTILE))):
        assert not OBEYED.search(text)
        lines = text.splitlines()
        assert {line.count("|") for line in lines} == {lines[0].count("|")}
        assert max(map(len, lines)) < 10_000
    assert "<" not in sweep_page(manifest(HOSTILE))


# --- the log, the terminal ---------------------------------------------------------------------


@pytest.mark.parametrize("formatter", [Formatter("%(message)s"), PlainFormatter("%(message)s")])
def test_the_log_shows_control_characters(formatter: logging.Formatter) -> None:
    for name in HOSTILE:
        record = logging.LogRecord("seqexp", logging.INFO, "", 0, "on %s", (name,), None)
        assert not OBEYED.search(formatter.format(record))


def test_what_commands_print_shows_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    for name in HOSTILE:
        show(name)
    file = io.StringIO()
    for name in HOSTILE:
        Seen(file).write(name)
    assert not OBEYED.search(capsys.readouterr().out + file.getvalue())


def test_the_folder_of_a_run_is_one_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "identity_of_training", lambda config: "0123456789abcdef")
    for name in HOSTILE:
        found = folder_name({"model": name, "dataset": name}, {"seed": 0})
        assert re.fullmatch(r"[\w.-]+", found) and found.strip(".")
        assert len(found.encode()) <= 255


# --- the store ---------------------------------------------------------------------------------


def test_a_store_takes_every_name(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracker = MlflowTracker(uri, str(tmp_path / "artifacts"))
    params = {**dict.fromkeys(HOSTILE, "1"), **{f"p{i}": n for i, n in enumerate(HOSTILE)}}
    tags = {f"t{i}": name for i, name in enumerate(HOSTILE)}
    experiment = HOSTILE[0] + "\x1b\ud800/.."
    facts = RunFacts(experiment, "".join(HOSTILE), params, {"a": "b"}, folder=tmp_path / "run")
    run_id = tracker.start(facts)
    tracker.tags(tags)
    tracker.text("\n".join(HOSTILE), "names.txt")
    tracker.table([{"name": name} for name in HOSTILE], "names.json")
    tracker.describe("".join(map(markdown, HOSTILE)))
    tracker.finish("FINISHED")
    found = MlflowClient(uri).get_run(run_id)
    assert found.info.status == "FINISHED" and not OBEYED.search(str(found.info.run_name))
    told = {**found.data.params, **found.data.tags}
    for index, name in enumerate(HOSTILE):
        assert told[f"p{index}"] == visible(name)[:5997] + "..." * (len(name) > 6000)
    assert not list((tmp_path / "run").rglob("refused.txt"))
    assert not any(OBEYED.search(key + value) for key, value in told.items())
    kept = json.loads(next((tmp_path / "artifacts").rglob("names.json")).read_text())
    assert [row[0] for row in kept["data"]] == list(HOSTILE)  # values are not changed


def test_a_name_too_long_for_an_experiment_is_refused(tmp_path: Path) -> None:
    tracker = MlflowTracker(f"sqlite:///{tmp_path / 'mlflow.db'}", str(tmp_path / "artifacts"))
    with pytest.raises(InputError, match=r"experiment_name is 'xxx.*10,000 characters.*500"):
        tracker.start(RunFacts("x" * 10_000, "x", folder=tmp_path / "run"))


# --- whole runs --------------------------------------------------------------------------------


def train(outputs: Path, *overrides: str, **dataset: Any) -> Result:
    """A short run, with keys of the dataset that no command line has to quote."""
    quick = ["trainer=smoke", f"paths.outputs={outputs}", "gradient_flow=none"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("config", [*quick, *overrides])
    for key, value in dataset.items():
        OmegaConf.update(composed, f"dataset.{key}", value)
    config = check(composed)
    config["decode"]["temperatures"] = (1.0,)  # types are checked in tests, and YAML has lists
    groups = dict(item.split("=", 1) for item in overrides if "." not in item)
    typed = [*overrides, *(f"dataset.{key}={value}" for key, value in dataset.items())]
    start = Start({"model": "cnn1d", **groups}, typed, outputs / "run")
    result = run(config, start)
    assert result.status == "FINISHED"
    return result


def files_of(outputs: Path, name: str) -> list[str]:
    found = (outputs / "mlartifacts").rglob(name)
    return [path.read_text(encoding="utf-8") for path in sorted(found)]


LEGIBLE = [name for name in HOSTILE if not re.search("[\0\ud800]", name) and name.strip()]
"""Those that a text file can hold."""


def test_a_run_on_odd_classes_and_words_finishes(tmp_path: Path) -> None:
    words = " ".join(LEGIBLE[:10])
    lines = [
        json.dumps({"text": f"{words} {number} {index}", "label": label})
        for number in range(12)
        for index, label in enumerate(LEGIBLE[:30])
    ]
    file = tmp_path / "$(touch x) <b>.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    train(tmp_path, "dataset=text", "dataset.max_length=60", path=str(file))
    spec, *_ = files_of(tmp_path, "spec.json")  # of the run and of its model
    assert set(json.loads(spec)["output_names"]) <= set(LEGIBLE[:30])


def test_a_run_on_a_motif_and_a_file_of_odd_names_finishes(tmp_path: Path) -> None:
    file = tmp_path / "$x^{$ <b> %s.jaspar"
    names = [r"MA1.1 $\frac{x^{$", "MA2.1 <script>\x1b[31m", "MA3.1 " + "y" * 500]
    rows = ["[9 0 0 1 9 0]", "[0 9 0 1 0 0]", "[0 0 9 1 0 9]", "[0 0 0 6 0 0]"]
    text = ""
    for turn, name in enumerate(names):
        turned = [*rows[turn:], *rows[:turn]]
        letters = (f"{base} {row}" for base, row in zip("ACGT", turned, strict=True))
        text += "\n".join([f">{name}", *letters, ""])
    file.write_text(text, encoding="utf-8")
    quick = ("num_train=40", "num_valid=10", "num_test=40")
    given = [f"dataset.{item}" for item in quick]
    result = train(tmp_path, "dataset=motif", "interpret.match=true", *given, motif=str(file))
    (report,) = files_of(tmp_path, "report.html")
    assert "<script>" not in report and not OBEYED.search(report)
    assert result.metrics["motif/correlation"] > 0


def test_a_run_on_odd_characters_finishes(tmp_path: Path) -> None:
    file = tmp_path / "odd.txt"
    symbols = "".join(SYMBOLS).replace("\0", "")
    file.write_text(symbols * 60, encoding="utf-8")
    bptt = ("trainer.bptt.k1=20", "trainer.bptt.k2=20")
    train(tmp_path, "dataset=chars", *bptt, path=str(file))
    (text, *_) = files_of(tmp_path, "final.txt")
    assert "temperature" in text


def test_a_run_on_records_of_odd_names_finishes_and_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    names = [re.sub(r"\s", "_", name) for name in LEGIBLE]
    words = ["".join(rng.choice(list("ACGT"), 30)) for _ in range(2 * len(names))]
    given = {}
    for kind in ("positives", "negatives"):
        file = tmp_path / f"$x^{{$ <b> {kind}.fa"
        records = (f">{kind}{i}{name}\n{words.pop()}\n" for i, name in enumerate(names))
        file.write_text("".join(records), encoding="utf-8", newline="")
        given[kind] = str(file)
    result = train(tmp_path, "dataset=fasta", **given)
    assert result.run_id is not None
    where = place({"paths.outputs": str(tmp_path)})
    output = tmp_path / "=1+1 $(touch x).csv"
    predict(where, Which(run=result.run_id), given["positives"], output=str(output))
    assert not OBEYED.search(capsys.readouterr().err)
    with output.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows[1:]] == [f"positives{i}{n}" for i, n in enumerate(names)]
