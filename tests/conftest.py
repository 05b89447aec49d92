"""What all tests share."""

import io
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import forked
import numpy as np
import pytest
import stores
import torch

from seqexp.spec import Output, TaskSpec, Vocabulary
from seqexp.tracking.store.environment import PLACES

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"

# a loaded machine of two cores is many times slower with two threads than with one
torch.set_num_threads(1)


LONGEST = (
    "advertised/test_trainings.py",
    "advertised/test_other_commands.py",
    "checkpoint/test_resume.py",
    "sweep/test_again.py",
    "test_names.py",
    "sweep/optuna/test_sweeper.py",
    "test_readme.py",
    "test_matrix.py",
    "test_imports.py",
    "sweep/test_launcher.py",
    "callback/test_kernels.py",
    "test_wheel.py",
    "tracking/test_resumed.py",
    "tracking/test_mlflow.py",
    "sweep/test_replicas.py",
    "trainer/test_distributed.py",
    "cli/test_main.py",
    "cli/test_predict.py",
    "sweep/grid/test_sweeper.py",
    "checkpoint/test_reported_again.py",
)
"""Files that take 15 seconds or more, the longest first."""


def pytest_configure(config: pytest.Config) -> None:
    """Have pytest-xdist take files in our order, not those of most tests first."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: at the end two workers wait for each other no longer."""
    order = {ROOT / "tests" / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PLACES:  # mlflow.set_tracking_uri of an earlier test stays in the environment
        os.environ.pop(name, None)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")  # no talk to the network
    # which a command sets for Hydra, and this takes back: children of a test would show tracebacks
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.delenv("COLUMNS", raising=False)  # of pytest-xdist: tables would be fitted to it
    stores.copied()


@pytest.fixture
def dna_spec() -> TaskSpec:
    """The motif task: two classes of sequences of ten letters."""
    return TaskSpec(
        vocabulary=Vocabulary(("A", "C", "G", "T")),
        num_outputs=2,
        output=Output.SEQUENCE_CLASS,
        output_names=("background", "motif"),
        length=10,
    )


@pytest.fixture
def next_token_spec() -> TaskSpec:
    """The next of four letters at each position, in sequences of any length."""
    return TaskSpec(
        vocabulary=Vocabulary(("A", "C", "G", "T")),
        num_outputs=5,
        output=Output.NEXT_TOKEN,
        output_names=("padding", "A", "C", "G", "T"),
    )


@pytest.fixture
def golden() -> dict[str, np.ndarray]:
    """Values computed by Keras; not part of the project."""
    file = SHARED / "golden.npz"
    if not file.is_file():
        pytest.skip("the golden values are not here")
    return dict(np.load(file))


def write_reviews(path: Path, num_reviews: int, members: Iterable[tarfile.TarInfo] = ()) -> None:
    """An archive as aclImdb_v1.tar.gz, with tiny reviews whose adjective tells their class."""
    adjectives = {"neg": ("bad", "dull", "silly"), "pos": ("good", "great", "moving")}
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
        for split in ("train", "test"):
            for label, words in adjectives.items():
                for number in range(num_reviews):
                    word = words[number % 3]
                    text = f"A {word} film.<br /><br />{split} {number % 7}".encode()
                    info = tarfile.TarInfo(f"aclImdb/{split}/{label}/{number}_1.txt")
                    info.size = len(text)
                    archive.addfile(info, io.BytesIO(text))


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stands for paths.data: an archive of as many reviews as the real one has, all tiny."""
    folder = tmp_path_factory.mktemp("data")
    write_reviews(folder / "aclImdb_v1.tar.gz", 12_500)
    return folder


@pytest.fixture(scope="session")
def dna_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Outputs and ids of four tiny runs on DNA: 1, 1, 2 and 2 filters, with seeds 0, 1, 0, 1."""
    from training import train  # tests/commands; of use only there

    outputs = tmp_path_factory.mktemp("outputs")
    quick = ("dataset.num_train=20", "dataset.num_valid=20", "dataset.num_test=20")
    points = [(size, seed) for size in (1, 2) for seed in (0, 1)]
    results = [
        train(outputs, *quick, f"model.num_filters={size}", f"seed={seed}") for size, seed in points
    ]
    return outputs, [str(result.run_id) for result in results]


@pytest.fixture(scope="session")
def python() -> Iterator[Path]:
    """An executable `python` whose `-m seqexp` is a process of its own with its imports done."""
    with forked.python() as path:
        yield path


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def seqexp(tmp_path: Path, python: Path) -> Command:
    """Run `python -m seqexp` as a person would, in an empty folder; never raises."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("SEQEXP", "HYDRA"))}
        env |= {"MLFLOW_DISABLE_TELEMETRY": "true", **environment}
        command = [str(python), "-m", "seqexp", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=240
        )

    return run
