"""What cannot go together, by the kind of task, before any data are read."""

from typing import Any

import pytest

from seqexp.trainer import check

CLASS = {"_target_": "my_lab.Own", "_constants_": {"output": "sequence-class"}}
TRAINER: dict[str, Any] = {
    "monitor": "valid/loss_nats",
    "bptt": {"k1": None, "k2": None},
    "replicas": None,
    "patience": None,
    "test_weights": "best",
}
TASK = {"loss": "gaussian", "class_weights": "none"}
BOTH_WAYS = {"bidirectional": True, "readout": "mean", "padding": "auto"}


def of_kind(kind: str | None) -> dict[str, Any]:
    return {"_target_": "my_lab.Own", "_constants_": {}, "task": kind}


def cut(k1: int | None) -> dict[str, Any]:
    return {**TRAINER, "bptt": {"k1": k1, "k2": None}}


@pytest.mark.parametrize(
    ("monitor", "kind", "said"),
    [
        ("valid/mse", "regression", None),
        ("valid/mse.length", "regression", None),
        ("valid/macro_f1", "token_class", None),
        ("valid/auroc", None, None),  # the data tell the kind
        ("valid/mse", "sequence_class", "no metric of validation of the kind sequence_class"),
        ("valid/accuracy", "regression", "of the kind regression"),
        ("valid/auroc", "token_class", "no metric of validation of the kind token_class"),
        ("valid/acuracy", "multi_label", "did you mean valid/accuracy?"),
        ("test/mse", "regression", "trainer.monitor is test/mse, which is no metric of validation"),
        ("valid/lost", None, "which is no metric of validation"),
    ],
)
def test_what_is_monitored_is_a_metric_of_the_kind(
    monitor: str, kind: str | None, said: str | None
) -> None:
    trainer = {**TRAINER, "monitor": monitor}
    found = list(check.what_is_monitored_is_measured(trainer, of_kind(kind), {}))
    assert not found if said is None else said in found[0]


def test_a_class_with_an_old_name_of_its_kind_has_that_kind() -> None:
    trainer = {**TRAINER, "monitor": "valid/perplexity"}
    (found,) = check.what_is_monitored_is_measured(trainer, CLASS, {})
    assert "of the kind sequence_class" in found


def test_a_metric_of_ones_own_may_be_monitored() -> None:
    trainer, own = {**TRAINER, "monitor": "valid/cost"}, {"cost": {}}
    assert not list(check.what_is_monitored_is_measured(trainer, of_kind("regression"), own))
    (fault,) = check.what_is_monitored_is_measured(trainer, of_kind("regression"), {"costs": {}})
    assert "did you mean valid/costs?" in fault


def test_the_likelihood_of_reads_takes_no_loss_and_no_metric_of_ones_own() -> None:
    own = {"cost": {"_target_": "my_lab.Cost"}}
    (fault,) = check.reads_have_no_metrics_of_ones_own(own, of_kind("read_errors"))
    assert "metrics has cost" in fault
    assert not list(check.reads_have_no_metrics_of_ones_own(own, of_kind("next_token")))
    task = {"loss": {"_target_": "my_lab.Loss"}, "class_weights": "none"}
    rule = check.what_is_chosen_of_the_task_is_its_kinds
    assert "my_lab.Loss, but reads" in next(iter(rule(task, of_kind("read_errors"))))
    assert not list(rule(task, of_kind("token_class")))


@pytest.mark.parametrize(
    ("kind", "k1", "num_faults"),
    [
        ("token_class", None, 0),  # labels may depend on later tokens
        ("regression", None, 0),
        ("multi_label", None, 0),
        ("next_token", None, 0),  # each direction is learned by itself, and auto is causal
        ("token_class", 5, 2),  # bidirectional, and padding on both sides
        ("regression", 5, 3),  # and the mean of all states
        ("next_token", 5, 1),
    ],
)
def test_later_tokens_are_seen_where_they_may_be(
    kind: str, k1: int | None, num_faults: int
) -> None:
    rule = check.later_tokens_are_not_seen_where_they_must_not_be
    assert len(list(rule(cut(k1), BOTH_WAYS, of_kind(kind)))) == num_faults


@pytest.mark.parametrize(
    ("task", "kind", "said"),
    [
        ({"loss": "huber"}, "regression", None),
        ({"class_weights": "balanced"}, "multi_label", None),
        ({"class_weights": [1.0, 2.0]}, "token_class", None),
        ({"loss": "poisson"}, None, None),
        ({"loss": "poisson"}, "token_class", "task.loss is poisson, but the dataset's kind"),
        ({"class_weights": "balanced"}, "regression", "regression, which has no classes to weigh"),
        ({"class_weights": [1.0]}, "next_token", "task.class_weights is [1.0], but the dataset's"),
    ],
)
def test_choices_of_the_task_are_those_of_its_kind(
    task: dict[str, Any], kind: str | None, said: str | None
) -> None:
    found = list(check.what_is_chosen_of_the_task_is_its_kinds({**TASK, **task}, of_kind(kind)))
    assert not found if said is None else said in found[0]


def test_a_plateau_is_waited_for_with_validation_data_only() -> None:
    schedule = {"_target_": check.PLATEAU}
    (found,) = check.a_plateau_is_seen_on_validation_data(schedule, {**CLASS, "valid_share": 0})
    assert found == (
        "schedule is plateau, but dataset.valid_share is 0; give validation data, or another"
        " schedule"
    )
    assert not list(
        check.a_plateau_is_seen_on_validation_data(schedule, {**CLASS, "valid_share": 0.1})
    )
    assert not list(
        check.a_plateau_is_seen_on_validation_data(
            schedule, {**CLASS, "valid_share": 0, "valid_path": "a.csv"}
        )
    )


def test_windows_of_positions_are_stacked_and_those_of_labels_are_not() -> None:
    trainer = {**cut(5), "replicas": 4}
    rule = check.a_stack_has_an_update_a_window
    assert not list(rule(trainer, of_kind("token_class")))
    assert "trainer.replicas is 4" in next(iter(rule(trainer, of_kind("regression"))))
