"""The page that one shows to a colleague."""

import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from interpret.filters.test_tomtom import DNA, learned, random_matrix
from PIL import Image

from seqexp.data import Pattern
from seqexp.interpret.filters.report import Page, _curve, outcome, report_page, verdict
from seqexp.interpret.filters.tomtom import Hit, Learned


def page(found: Learned, **changes: object) -> Page:
    values: dict[str, object] = {
        "title": "cnn1d on <data>",
        "history": {1: {"train/loss_nats": 0.7, "valid/loss_nats": 0.6, "valid/accuracy": 0.5}},
        "results": [{"metric": "test/accuracy", "value": 0.91234}],
        "baselines": [{"method": "this model", "test AUROC": 0.97, "test AUPRC": None}],
        "data": [{"fact": "num_train", "value": 100}],
        "notes": ["3 sequences removed from train"],
        "learned": found,
        "symbols": DNA,
        "output_names": ("negative", "positive"),
        "max_shown": 8,
    }
    return Page(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def found() -> Learned:
    rng = np.random.default_rng(0)
    target, known = Pattern("planted one", random_matrix(rng)), Pattern("known", random_matrix(rng))
    filters = [learned(target.ppm, 0, patterns=[target]), learned(target.ppm, 1, hits=0)]
    planted = [Hit(0, target, 1e-20, 2e-20, 0, 14, False)]
    hits = [Hit(0, known, 1e-8, 1e-6, -2, 10, True)]
    metrics = {"motif/recovered": 1.0, "motif/correlation": 0.99}
    return Learned(filters, planted, hits, 900, metrics)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_complete_in_itself_and_well_formed(found: Learned) -> None:
    text = report_page(page(found))
    sources = re.findall(r'src="([^"]{0,30})', text)
    assert len(sources) == 2 and all(s.startswith("data:image/png;base64,") for s in sources)
    assert "http" not in text
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert "cnn1d on &lt;data&gt;" in text and "<data>" not in text
    for said in ("0.9123", "0.97", "num_train", "3 sequences removed", "1 of 2 dead"):
        assert said in text


def test_both_the_planted_and_the_known_match_are_said(found: Learned) -> None:
    planted, known = verdict(page(found))
    assert "What was planted was recovered: filter 0 resembles planted one" in planted
    assert "p = 2.0e-20" in planted and "0.990" in planted
    assert "Among 900 known motifs" in known and "q = 1.0e-06" in known


def test_what_was_not_found_is_said_not_to_be(found: Learned) -> None:
    poor = {"motif/recovered": 0.0, "motif/correlation": 0.2}
    said = verdict(page(Learned(found.filters, [], [], 900, poor)))
    assert said == [
        "What was planted was not recovered.",
        "No filter resembles any of 900 known motifs significantly.",
    ]
    text = report_page(page(Learned(found.filters, [], [], 900, poor)))
    assert "no significant hit" in text
    dead = Learned([found.filters[1]], [], None)
    assert "No filter learned anything: no window excites any of them." in verdict(page(dead))
    unasked = verdict(page(Learned(found.filters, metrics={"motif/correlation": 0.5})))
    assert "has a correlation of 0.500" in unasked[0] and "interpret.match=true" in unasked[1]
    assert "dead: no window" in report_page(page(Learned([found.filters[1]], [], None)))


@pytest.mark.parametrize(
    ("name", "own", "simple", "said"),
    [
        ("auroc", 0.97, 0.96, "is ahead of a regression on counted words: auroc 0.97 and 0.96."),
        ("auroc", 0.95, 0.96, "not ahead of a regression on counted words"),
        ("mse", 0.1, 0.2, "ahead of a regression on counted words"),
        ("mse", 0.2, 0.1, "not ahead of"),
        ("auroc", 1.0, 1.0, "level with a regression on counted words: auroc 1 and 1."),
    ],
)
def test_the_first_lines_say_whether_a_simple_method_is_as_good(
    found: Learned, name: str, own: float, simple: float, said: str
) -> None:
    metrics = {f"test/{name}": own, f"baseline/words_{name}": simple}
    sentences = outcome(page(found, headline=(name,), metrics=metrics))
    assert any(said in sentence and sentence.startswith("The model ") for sentence in sentences)


def test_measures_that_say_the_same_of_a_simple_method_share_a_sentence(found: Learned) -> None:
    own = {"test/mse": 0.8, "test/r2": 0.3, "test/pearson": 0.9}
    simple = {"baseline/words_mse": 0.3, "baseline/words_r2": 0.7, "baseline/words_pearson": 0.8}
    made = page(found, headline=("mse", "r2", "pearson"), metrics=own | simple)
    assert outcome(made)[1:] == [
        "The model is not ahead of a regression on counted words: mse 0.8 and 0.3, r2 0.3 and 0.7.",
        "The model is ahead of a regression on counted words: pearson 0.9 and 0.8.",
    ]


def test_what_decoders_did_stands_above_the_loss_and_the_loss_is_drawn_once(
    found: Learned,
) -> None:
    made = page(
        found,
        headline=("loss_nats",),
        metrics={"test/loss_nats": 51.2, "baseline/channel_loss_nats": 50.7},
        history={1: {"train/loss_nats": 1.0, "valid/loss_nats": 1.1}},
        said=["Of 30 clusters all are decoded."],
        decoded=[{"method": "polish", "exact": "0.9"}],
    )
    first, second = outcome(made)
    assert first == "Of 30 clusters all are decoded."
    assert "loss in nats is 51.2" in second and "simulated by, it is 50.7" in second
    assert "How clusters of reads are decoded" in report_page(made)
    pixels = np.asarray(Image.open(io.BytesIO(_curve(made))).convert("L"))
    assert [half.min() < 255 for half in np.split(pixels, 2, axis=1)] == [True, False]
