"""Any dataset with any model: the whole matrix, as one sweep."""

import random
import re
from pathlib import Path

from conftest import ROOT, Command
from forms import ONE_KIND


def options(group: str) -> list[str]:
    return sorted(file.stem for file in (ROOT / "conf" / group).glob("*.yaml"))


def small_fasta(folder: Path) -> dict[str, str]:
    draw = random.Random(0).choices
    names = {"positives": 40, "negatives": 50}
    for name, length in names.items():
        lines = [f">{i}\n{''.join(draw('ACGTN', k=length + i % 3))}\n" for i in range(30)]
        (folder / f"{name}.fa").write_text("".join(lines))
    return {name: str(folder / f"{name}.fa") for name in names}


NEEDS = {"fasta": small_fasta}
"""Dataset -> what makes the files that it needs, and the keys that name them."""


def test_every_dataset_goes_with_every_model(
    seqexp: Command, tmp_path: Path, data_folder: Path
) -> None:
    datasets = options("dataset")
    models = [name for name in options("model") if name not in ONE_KIND]
    assert datasets and models and set(NEEDS) <= set(datasets)
    folder = tmp_path / "conf" / "experiment"  # a sweep has no keys of one dataset alone
    folder.mkdir(parents=True)
    for dataset in datasets:
        keys = NEEDS[dataset](tmp_path) if dataset in NEEDS else {}
        lines = [f"  {key}: {value}" for key, value in keys.items()]
        head = ["# @package _global_", f"defaults: [override /dataset: {dataset}]"]
        text = "\n".join([*head, *(["dataset:", *lines] if lines else [])])
        (folder / f"with-{dataset}.yaml").write_text(text)
    swept = ",".join(f"with-{dataset}" for dataset in datasets)
    done = seqexp(
        "--config-dir",
        str(tmp_path / "conf"),
        "-m",
        f"experiment={swept}",
        f"model={','.join(models)}",
        "trainer=smoke",
        "tracking=none",
        SEQEXP_DATA=str(data_folder),
    )
    assert done.returncode == 0, done.stderr
    shown = len(re.findall(r"\| FINISHED +\|", done.stdout))
    more = re.search(r"^\.\.\. and (\d+) more", done.stdout, re.M)  # than a terminal shows
    assert shown + int(more[1] if more else 0) == len(datasets) * len(models)
    assert "FAILED" not in done.stdout


def test_a_model_of_one_kind_of_data_is_refused_with_any_other(seqexp: Command) -> None:
    datasets = [name for name in options("dataset") if name != "noisy-reads"]
    swept = f"dataset={','.join([*datasets, 'noisy-reads'])}"
    done = seqexp("-m", swept, "model=read-errors", "tracking=none")
    assert done.returncode == 2
    count = len(datasets)
    assert f"give dataset=noisy-reads dataset.view=clusters, or another model   (in {count} of" in (
        done.stderr
    )
    assert (
        "but dataset.view is reads; give dataset=noisy-reads dataset.view=clusters" in done.stderr
    )
    models = [name for name in options("model") if name not in ONE_KIND]
    done = seqexp("-m", "dataset=noisy-reads", "dataset.view=clusters", f"model={','.join(models)}")
    assert done.returncode == 2
    for model in models:
        line = next(
            line for line in done.stderr.splitlines() if f"(in the job model={model})" in line
        )
        assert "give model=read-errors" in line
