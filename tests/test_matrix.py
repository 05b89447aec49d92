"""Any dataset with any model: the whole matrix, as one sweep."""

import re
from pathlib import Path

from conftest import ROOT, Command


def options(group: str) -> list[str]:
    return sorted(file.stem for file in (ROOT / "conf" / group).glob("*.yaml"))


def test_every_dataset_goes_with_every_model(seqexp: Command, data_folder: Path) -> None:
    datasets, models = options("dataset"), options("model")
    assert datasets and models
    swept = (f"dataset={','.join(datasets)}", f"model={','.join(models)}")
    done = seqexp("-m", *swept, "trainer=smoke", "tracking=none", SEQEXP_DATA=str(data_folder))
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"\| FINISHED +\|", done.stdout)) == len(datasets) * len(models)
