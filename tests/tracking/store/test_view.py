"""The page of an experiment: columns by which runs differ, heads that are not cut, curves first."""

import json

from seqexp.tracking.store.view import view_of_runs

LOSS = "best/valid_loss_nats"


def state(*keys: str, known: str | None = None) -> dict[str, object]:
    return dict(json.loads(view_of_runs(LOSS, False, ("accuracy",), keys, known)[1]))


def test_what_tells_runs_apart_is_a_column_and_stays() -> None:
    _, value = view_of_runs(LOSS, False, ("accuracy",), ["model.num_filters"])
    found = state("optimizer.lr", "seed", known=value)
    assert found["selectedColumns"][:6] == [
        f"metrics.`{LOSS}`",
        "metrics.`test/accuracy`",
        "metrics.`test/loss_nats`",
        "params.`model.num_filters`",
        "params.`optimizer.lr`",
        "params.`seed`",
    ]
    assert len(found["selectedColumns"]) == len({*found["selectedColumns"]})


def test_each_column_has_room_for_its_head() -> None:
    found = state("dataset.reverse_complement_of_all")
    for column in found["selectedColumns"]:
        head = column.partition(".")[2].strip("`")
        assert found["columnWidths"][column] >= 7 * len(head) + 30, column
    assert found["columnOrder"][0] == "attributes.`Run Name`"


def test_training_and_validation_share_a_chart_and_images_have_no_params_beside_them() -> None:
    loss, accuracy, image = state()["compareRunCharts"]
    assert loss["selectedMetricKeys"] == ["train/loss_nats", "valid/loss_nats"]
    assert accuracy["selectedMetricKeys"] == ["train/accuracy", "valid/accuracy"]
    assert image["imageKeys"] == ["filters"] and image["showRunParams"] is False
    assert image["step"] == 1
    sections = [section["name"] for section in state()["compareRunSections"]]
    assert sections[:2] == ["curves", "images"] and sections.index("valid") < sections.index("test")


def test_a_view_of_another_is_not_read() -> None:
    assert state(known="[1]") == state(known='{"seqexp": 3}') == state(known="no JSON") == state()
