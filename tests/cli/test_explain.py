"""The command explain: what it leaves in its folder, for letters and words, and what it refuses."""

import csv
import importlib.util
import json
import random
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from training import train

from seqexp.cli.subcommand import run_command

DNA = ("dataset=motif", "model=cnn1d", "dataset.num_train=30", "dataset.num_test=10")
TEXT = ("dataset=text", "model=lstm")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Outputs, and the id of a run on DNA, and of two on words."""
    outputs = tmp_path_factory.mktemp("explained")
    draw = random.Random(0)
    lines = [
        f"{draw.choice(('dull', 'poor') if label == 'bad' else ('great', 'fine'))} film {i},{label}"
        for i in range(40)
        for label in ("bad", "good")
    ]
    texts = outputs / "texts.csv"
    texts.write_text("\n".join(["text,label", *lines]) + "\n")
    words = (*TEXT, f"dataset.path={texts}", "dataset.label_column=label")
    given = {
        "dna": DNA,
        "words": words,
        "counted": (words[0], "model=ngrams", *words[2:]),
    }
    return outputs, {name: str(train(outputs, *one).run_id) for name, one in given.items()}


def explain(runs: tuple[Path, dict[str, str]], name: str, source: Path, *more: str) -> int:
    outputs, ids = runs
    to = f"output={source.parent / 'explained'}"
    given = [f"run={ids[name]}", f"input={source}", to, f"paths.outputs={outputs}", *more]
    return run_command("explain", given)


class _Texts(HTMLParser):
    """What a page shows, what it runs, and what it would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.shown = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [str(value) for key, value in attrs if key in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.shown += data


def page(folder: Path) -> _Texts:
    found = _Texts()
    found.feed((folder / "attributions.html").read_text(encoding="utf-8"))
    assert all(one.startswith("data:image/png;base64,") for one in found.loaded)
    return found


def test_letters_become_arrays_that_modisco_reads_and_a_page(
    runs: tuple[Path, dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = random.Random(1)
    long = "".join(draw.choice("ACGT") for _ in range(240))
    (tmp_path / "a.fa").write_text(f">chr1:100-340(-)\n{long}\n>short <b>\nACGTNACGT\n")
    assert explain(runs, "dna", tmp_path / "a.fa", "target=motif") == 0, capsys.readouterr().err
    folder = tmp_path / "explained"
    assert "convergence delta at most" in capsys.readouterr().err
    files = [folder / "sequences.npz", folder / "attributions.npz"]
    one_hot, hypothetical = (np.load(file)["arr_0"] for file in files)
    assert one_hot.shape == hypothetical.shape == (2, 4, 240)
    assert one_hot.sum(axis=(1, 2)).tolist() == [240, 8]  # N and what is not there have none
    assert "".join("ACGT"[row] for row in one_hot[0].argmax(axis=0)) == long
    if importlib.util.find_spec("modiscolite") is not None:
        from modiscolite.cli import _load_input

        for file, own in zip(files, (one_hot, hypothetical), strict=True):
            np.testing.assert_array_equal(_load_input(file), own)
    with (folder / "records.tsv").open(encoding="utf-8") as table:
        first, second = csv.DictReader(table, delimiter="\t")
    assert first["output"] == "motif" and int(first["to"]) - int(first["from"]) == 79
    end = 340 - (int(first["from"]) - 1)
    assert first["place"] == f"chr1:{end - 80}-{end}(-)" and second["place"] == ""
    assert max(abs(float(one["delta"])) for one in (first, second)) <= 1e-3
    numbers = json.loads((folder / "attributions.json").read_text())
    assert numbers["method"] == "integrated-gradients" and numbers["records"] == 2
    assert len(numbers["deletion"]["curves"]["by_chance"]) == 21
    shown = page(folder)
    assert "short" in shown.shown and "b" not in shown.tags and first["place"] in shown.shown


def test_words_become_lines_and_a_page_whose_words_are_no_markup(
    runs: tuple[Path, dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("a dull film\ngreat film , fine\n")
    for name, method in (("words", "integrated-gradients"), ("counted", "contributions")):
        assert explain(runs, name, tmp_path / "a.txt") == 0, capsys.readouterr().err
        folder = tmp_path / "explained"
        lines = (folder / "attributions.jsonl").read_text().splitlines()
        first, second = map(json.loads, lines)
        assert second["tokens"] == ["great", "film", ",", "fine"] or "<unk>" in second["tokens"]
        assert len(first["tokens"]) == len(first["attributions"]) == 3
        assert abs(first["delta"]) <= 1e-3 and first["output"] in ("bad", "good")
        shown = page(folder)
        assert "unk" not in shown.tags and "dull" in shown.shown and "script" not in shown.tags
        assert json.loads((folder / "attributions.json").read_text())["method"] == method
        assert not (folder / "attributions.npz").exists()


@pytest.mark.parametrize(
    ("name", "more", "says"),
    [
        ("dna", ("target=motiv",), "target is 'motiv', which the model of this run has not"),
        ("dna", ("method=contributions",), "method is contributions, which are those of model=n"),
        ("dna", ("method=igrad",), "method"),
        ("dna", ("input=-",), "stands twice"),
        ("counted", ("method=gradient",), "it counts n-grams; give method=contributions"),
        ("words", ("method=deep-lift",), "recurrent cells have no rule"),
        ("words", ("baseline=uniform",), "baseline is uniform, which is for letters"),
    ],
)
def test_what_cannot_be_explained_is_said_and_leaves_no_folder(
    runs: tuple[Path, dict[str, str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    more: tuple[str, ...],
    says: str,
) -> None:
    if "deep-lift" in str(more) and importlib.util.find_spec("captum") is None:
        says = "pip install 'seqexp[explain]'"
    source = tmp_path / ("a.fa" if name == "dna" else "a.txt")
    source.write_text(">a\nACGTACGTACGTACGTACGT\n" if name == "dna" else "a dull film\n")
    assert explain(runs, name, source, *more) == 2
    said = capsys.readouterr().err
    assert says in said and "Traceback" not in said
    assert not (tmp_path / "explained").exists()


def test_a_bad_record_leaves_no_file(
    runs: tuple[Path, dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.fa").write_text(">a\nACGTACGTACGTACGTACGT\n>b\nACGTXACGT\n")
    assert explain(runs, "dna", tmp_path / "a.fa", "batch_size=1") == 2
    assert "b" in capsys.readouterr().err and not (tmp_path / "explained").exists()
    (tmp_path / "a.fa").write_text("")
    assert explain(runs, "dna", tmp_path / "a.fa") == 2
    (tmp_path / "explained").write_text("a file")
    (tmp_path / "a.fa").write_text(">a\nACGTACGTACGTACGTACGT\n")
    assert explain(runs, "dna", tmp_path / "a.fa") == 2
    assert "explained, which is no folder" in capsys.readouterr().err
