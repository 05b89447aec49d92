"""Tags and notes: as they are typed, no part of a run, and given to finished runs too."""

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from training import composed, train

from seqexp.checkpoint.identity import fingerprint, identity
from seqexp.checkpoint.provenance import own_keys
from seqexp.checkpoint.result import Result
from seqexp.cli.arguments import refuse_words
from seqexp.config.check import check, find_faults
from seqexp.config.groups import CONF
from seqexp.config.typed import as_typed
from seqexp.errors import InputError
from seqexp.sweep.grid.sweeper import _label_again
from seqexp.sweep.job import Job, tells_apart
from seqexp.sweep.manifest import Entry, Manifest
from seqexp.tracking.labels import NOTES, PAGE, changes, labels_of
from seqexp.tracking.mlflow import MlflowTracker
from seqexp.tracking.tracker import RunFacts

SMALL = ("dataset.num_train=20", "dataset.num_valid=20", "dataset.num_test=20")


def plain(outputs: Path, *overrides: str) -> dict[str, Any]:
    return check(composed(outputs, *SMALL, *overrides))


def typed(words: list[str], is_sweep: bool = False) -> list[str]:
    return as_typed(words, [CONF], is_sweep)


def test_a_value_is_the_text_that_is_typed() -> None:
    assert typed(["tags.year=2026", "tags.owner=ann"]) == ["tags.year='2026'", "tags.owner=ann"]
    assert typed(["notes=a wide one, I hope"]) == ["notes='a wide one, I hope'"]


def test_a_sweep_takes_notes_and_tags_whole() -> None:
    words = ["notes=one, two", "tags.who=ann,bob", "seed=1,2"]
    assert typed(words, is_sweep=True) == ["notes='one, two'", "tags.who='ann,bob'", "seed=1,2"]


def test_a_name_that_hydra_cannot_read_is_refused() -> None:
    with pytest.raises(InputError, match=r"^tags.2nd: the parts of a tag's name begin with a"):
        refuse_words(["tags.2nd=x"])
    refuse_words(["tags.team.sub-group=x"])


def test_words_are_no_part_of_a_runs_identity(tmp_path: Path) -> None:
    bare = plain(tmp_path)
    told = plain(tmp_path, "++tags.owner=ann", "notes='why'")
    assert labels_of(told) == {"owner": "ann", NOTES: "why"} and labels_of(bare) == {}
    assert identity(bare) == identity(told) and fingerprint(bare) == fingerprint(told)
    assert not tells_apart("tags.owner=ann") and not tells_apart("notes=why")
    assert own_keys(["tags.owner=ann", "notes=why", "seed=1"]) == ["seed"]


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ({"mlflow": {"user": "x"}}, "tags.mlflow.user: tags that begin with mlflow or seqexp"),
        ({"seqexp": "x"}, "tags.seqexp: tags that begin with mlflow or seqexp"),
        ({"owner": 3}, "tags.owner is 3; give a text"),
        ({"a?b": "x"}, "tags.a?b: MLflow takes names of at most 250 letters"),
        ({"a/../b": "x"}, "tags.a/../b: MLflow takes no name that is a path"),
        ({"owner": "x" * 5001}, "tags.owner has 5,001 characters; MLflow takes at most 5,000"),
    ],
)
def test_what_cannot_be_a_tag_is_refused_by_name(
    tmp_path: Path, tags: dict[str, Any], told: str
) -> None:
    (fault,) = find_faults({**plain(tmp_path), "tags": tags})
    assert fault.startswith(told)


def test_notes_leave_room_for_the_description(tmp_path: Path) -> None:
    (fault,) = find_faults({**plain(tmp_path), "notes": "x" * 4001})
    assert fault.startswith("notes has 4,001 characters; give at most 4,000")


def test_other_notes_leave_the_description_below_them() -> None:
    tags = {NOTES: "old", PAGE: "old\n\n| a table |", "owner": "ann"}
    assert changes(tags, {NOTES: "new", "owner": "ann"}) == {
        NOTES: "new",
        PAGE: "new\n\n| a table |",
    }
    assert changes({PAGE: "| a table |"}, {NOTES: "new"})[PAGE] == "new\n\n| a table |"
    assert changes(tags, {NOTES: "old"}) == {}


# --- finished runs ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def result(outputs: Path) -> Result:
    return train(outputs, *SMALL, "++tags.owner=ann", "notes='why'")


def tags_of(outputs: Path, result: Result) -> dict[str, str]:
    return dict(MlflowClient(f"sqlite:///{outputs}/mlflow.db").get_run(result.run_id).data.tags)


def test_a_run_has_its_tags_and_its_notes_at_the_top(outputs: Path, result: Result) -> None:
    tags = tags_of(outputs, result)
    assert tags["owner"] == "ann" and tags[PAGE].startswith("why\n\n|")
    params = MlflowClient(f"sqlite:///{outputs}/mlflow.db").get_run(result.run_id).data.params
    assert not any(key.startswith(("tags", "notes")) for key in params)


def test_a_finished_run_gets_the_tags_of_a_later_command_once(
    outputs: Path, result: Result, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from seqexp.checkpoint.result import Start
    from seqexp.run import run

    (folder,) = (outputs / "runs").iterdir()
    config = plain(outputs, "++tags.owner=bob", "++tags.team=x", "notes='why not'")
    with caplog.at_level("INFO", logger="seqexp"):
        assert run(config, Start(folder=folder)).run_id == result.run_id
    assert "labelled in MLflow: notes, tags owner and team" in caplog.text
    tags = tags_of(outputs, result)
    assert (tags["owner"], tags["team"]) == ("bob", "x") and tags[PAGE].startswith("why not\n\n|")
    monkeypatch.setattr(MlflowTracker, "label", None)  # nothing is new: no store is opened
    run(config, Start(folder=folder))


def test_a_sweep_gives_them_to_its_finished_jobs_and_itself(outputs: Path, result: Result) -> None:
    config = plain(outputs, "++tags.sweep=yes")
    job = Job((), config, "motif")
    entry = Entry(job.identity, [], 0, "FINISHED", result.run_id)
    client = MlflowClient(f"sqlite:///{outputs}/mlflow.db")
    parent = client.create_run("1").info.run_id
    manifest = Manifest(None, run_id=parent, jobs={job.name: entry})
    _label_again([job], manifest)
    assert tags_of(outputs, result)["sweep"] == "yes" == client.get_run(parent).data.tags["sweep"]
    assert manifest.labels == {"sweep": "yes"}


def test_a_run_that_goes_on_gets_new_tags_and_keeps_its_notes(
    outputs: Path, result: Result, tmp_path: Path
) -> None:
    uri, folder = f"sqlite:///{outputs}/mlflow.db", tmp_path / "run"
    given = {"owner": "ann", NOTES: "why"}
    first = MlflowTracker(uri, str(outputs / "mlartifacts"))
    run_id = first.start(RunFacts("e", "r", folder=folder, labels=given))
    first.finish("KILLED")
    again = MlflowTracker(uri, str(outputs / "mlartifacts"))
    again.start(RunFacts("e", "r", folder=folder, run_id=run_id, labels={"owner": "bob"}))
    again.describe("| a table |")
    again.finish("FINISHED")
    tags = MlflowClient(uri).get_run(run_id).data.tags
    assert tags["owner"] == "bob" and tags[PAGE] == "why\n\n| a table |"
