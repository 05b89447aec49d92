"""The metrics that runs report, by name: what each means and which way is better."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher", "neither"]

MEASURES: dict[str, Better] = {
    "loss_nats": "lower",
    "accuracy": "higher",
    "macro_f1": "higher",
    "mcc": "higher",
    "span_f1": "higher",
    "auroc": "higher",
    "auprc": "higher",
    "ece": "lower",
    "mse": "lower",
    "mae": "lower",
    "r2": "higher",
    "pearson": "higher",
    "spearman": "higher",
    "perplexity": "lower",
    "bits_per_token": "lower",
}
"""What predictions of a split are measured by: `mse` is `valid/mse`, `test/mse`, `best/valid_mse`.

`loss_nats` is the mean over scored targets of what is trained on; `accuracy` the share of scored
targets that are predicted right. `macro_f1` is the mean over classes of F1, `mcc` Matthews'
correlation, `span_f1` F1 over spans that are predicted exactly, where labels are those of spans
(`B-x`, `I-x`, `O`). `auroc` and `auprc` are of two classes, or the mean over labels. `ece` is the
expected calibration error: how far the probability of what is predicted (of a label: that it is
there) is from the share that is right, a mean over ten bins of probability. `mse` and `mae` are in
the target's unit; of several numbers, `mse` is the mean over them and `mse.NAME` that of one;
`auroc.NAME` is that of one label."""

DECODED: dict[str, Better] = {
    "exact": "higher",
    "word_error": "lower",
    "bleu": "higher",
    "chrf": "higher",
    "edit_distance": "lower",
}
"""What targets that were written for a context are measured by, against the true ones.

`exact` is the share of contexts without an error, `word_error` the rest, `edit_distance` a mean in
symbols; `bleu` and `chrf` are 0 to 100, by sacrebleu. In validation, `decode.num_valid` are
written."""

OF_KIND: dict[str, tuple[str, ...]] = {
    "sequence_class": ("loss_nats", "accuracy", "macro_f1", "mcc", "auroc", "auprc", "ece"),
    "multi_label": ("loss_nats", "accuracy", "auroc", "auprc", "ece"),
    "regression": ("loss_nats", "mse", "mae", "r2", "pearson", "spearman"),
    "token_class": ("loss_nats", "accuracy", "macro_f1", "mcc", "span_f1", "ece"),
    "next_token": ("loss_nats", "accuracy", "perplexity", "bits_per_token"),
    "read_errors": ("loss_nats",),
}
"""The measures of each kind of task, of validation and test."""

HEADLINE: dict[str, tuple[str, ...]] = {
    "sequence_class": ("accuracy", "auroc"),
    "multi_label": ("auroc", "accuracy"),
    "regression": ("mse", "r2", "pearson"),
    "token_class": ("accuracy", "macro_f1"),
    "next_token": ("perplexity", "accuracy"),
    "read_errors": ("loss_nats",),
}
"""Of these, what summaries and tables show, the first one first."""

IN_TRAINING = ("loss_nats", "accuracy", "mse", "mae", "r2")
"""Measures that add up over updates, and are logged of the training too."""

DYNAMIC = ("loss_nats", "perplexity", "bits_per_token")
"""Measures of a second test in which the model goes on learning from the text."""

CONSTANT = ("accuracy", "macro_f1", "auprc", "mse", "mae", "perplexity")
"""Measures that depend on the data where the same is always predicted."""

COUNTED = ("accuracy", "macro_f1", "auroc", "auprc", "mse", "mae", "r2", "pearson", "spearman")
"""Measures of a linear model of counted n-grams."""

METRICS: dict[str, Better] = {
    **{f"train/{name}": MEASURES[name] for name in IN_TRAINING},
    **{f"valid/{name}": better for name, better in {**MEASURES, **DECODED}.items()},
    **{f"test/{name}": better for name, better in {**MEASURES, **DECODED}.items()},
    **{f"best/valid_{name}": better for name, better in MEASURES.items()},
    **{f"ensemble/{name}": better for name, better in MEASURES.items()},
    **{f"test/dynamic_{name}": MEASURES[name] for name in DYNAMIC},
    "dynamic/rate": "neither",
    "dynamic/valid_loss_nats": "lower",
    **{f"pooled/{name}": better for name, better in MEASURES.items()},
    "train/learning_rate": "neither",
    "train/starts": "neither",
    "train/order": "neither",
    "train/strength": "neither",
    "best/epoch": "neither",
    "best/order": "neither",
    "best/strength": "neither",
    "best/valid_accuracy_max": "higher",
    "grad/norm_mean": "neither",
    "grad/norm_max": "neither",
    "grad/clipped_norm_mean": "neither",
    "grad/clipped_fraction": "neither",
    "gradient_flow/lag_10_log10": "neither",
    "gradient_flow/lag_50_log10": "neither",
    "gradient_flow/factor_per_token": "neither",
    "gradient_flow/singular_value_max": "neither",
    "gradient_flow/singular_value_min": "neither",
    "gradient_flow/saturated_share": "neither",
    "speed/sequences_per_second": "higher",
    "speed/tokens_per_second": "higher",
    "time/epoch_seconds": "lower",
    "time/train_seconds": "lower",
    "model/parameters": "neither",
    "motif/correlation": "higher",
    "motif/correlation_chance": "neither",
    "motif/correlation_chance_95": "neither",
    "motif/weight_correlation": "higher",
    "motif/p_value": "lower",
    "motif/recovered": "higher",
    "motif/mutagenesis_auroc": "higher",
    "motif/activation_auroc": "higher",
    "reads/exact": "higher",
    "reads/exact_standard_error": "neither",
    "reads/edit_distance": "lower",
    "reads/edit_distance_standard_error": "neither",
    "reads/normalized_edit_distance": "lower",
    "reads/normalized_edit_distance_standard_error": "neither",
    "reads/ece": "lower",
    "test/ece_calibrated": "lower",
    "calibration/temperature": "neither",
    **dict.fromkeys((f"baseline/constant_{name}" for name in CONSTANT), "neither"),
    "baseline/token_accuracy": "neither",
    **{
        f"baseline/{name}_{measure}": "neither"
        for name in ("words", "gapped_words", "ngrams")
        for measure in COUNTED
    },
    "baseline/channel_loss_nats": "neither",
    "baseline/matrix_auroc": "neither",
    "baseline/matrix_auprc": "neither",
    "step/loss_nats": "lower",
    "step/grad_norm": "neither",
    "step/grad_norm_clipped": "neither",
    "step/learning_rate": "neither",
    "system/process_memory_megabytes": "neither",
    "system/process_cpu_percentage": "neither",
    "system/system_memory_usage_percentage": "neither",
    "system/gpu_memory_megabytes": "neither",
}
"""Every metric that a run can log. `step/*` are logged by update, `motif/*` and `test/*` at an
epoch or at the end, `reads/*` at the end, as means over the clusters of reads whose true sequence
is known, `best/*` are of the epoch that `trainer.monitor` finds best, the others once an epoch;
losses are means in nats per scored token. `best/valid_accuracy` is the accuracy at that epoch,
`best/valid_accuracy_max` the highest of all epochs.

`system/*` are recorded with `tracking.system_metrics`, by update.

`calibration/temperature` is fitted on validation: probabilities are softmax(logits / temperature).
`test/ece_calibrated` is `test/ece` with it.

`test/dynamic_*` are of a second test of the same text, whose model goes on learning from what it
has scored; validation has chosen the learning rate `dynamic/rate`, by `dynamic/valid_loss_nats`.

`ensemble/*` are a sweep's: the measures of the test for the mean of what all its runs predict.
`pooled/*` are a sweep's over folds: the measures of the tests of all folds together, each predicted
by the run that did not learn from it; a mean over seeds, of the best point.
`train/strength` is that of the penalty of a model that a solver fits, `best/strength` the one that
validation has chosen. Likewise, `train/order` and `best/order` are of counted n-grams.

`motif/correlation_chance` is the median of `motif/correlation` of as many filters with random
weights, read on the same sequences; 95 of 100 such sets are below `motif/correlation_chance_95`.

`baseline/constant_*` are of the test where the shares of the training targets, or their mean, are
always predicted; `baseline/words_*` of a linear model of words of six letters of DNA,
`gapped_words` of those with a letter skipped, `matrix_*` of the known matrix that tells the
training classes apart best, and `ngrams` of words and pairs of words of a text, or of one to three
other letters;
`baseline/token_accuracy` where each token gets its most frequent label.

`gradient_flow/lag_*` are log10 of the norm of the top layer's dL_t/dh_{t-lag} over that at lag 0,
about -300 where it is zero; `factor_per_token` is what that norm is multiplied by a token, over all
lags; singular values are of the recurrent matrices of all layers, the saturated share is of the
activations of their gates."""


@dataclass(frozen=True)
class OwnMeasure:
    """A measure of a user's own, as the section `metrics` of a config names it.

    Args:
        higher_is_better: whether a larger value is the better one.
        unit: of it, in words; None: not told.
    """

    higher_is_better: bool
    unit: str | None = None


OWN: dict[str, OwnMeasure] = {}
"""Metrics that configs of this process, and runs that it has looked up, have beside `METRICS`."""


def of_own(measure: str) -> tuple[str, str, str]:
    """The metrics that a measure of a user's own is logged as."""
    return f"valid/{measure}", f"test/{measure}", f"best/valid_{measure}"


def declare(measures: Mapping[str, OwnMeasure]) -> None:
    """Have this process know measures of a config; what is said last of a name holds."""
    for name, measure in measures.items():
        OWN.update(dict.fromkeys(of_own(name), measure))


def declare_logged(params: Mapping[str, str]) -> None:
    """Have this process know the measures that a logged run had, by its params."""
    found = {}
    for key, value in params.items():
        name = re.fullmatch(r"metrics\.(\w+)\.higher_is_better", key)
        if name is not None and value in ("true", "false"):
            unit = params.get(f"metrics.{name[1]}.unit", "null")
            found[name[1]] = OwnMeasure(value == "true", None if unit == "null" else unit)
    declare(found)


def without_name(metric: str) -> str:
    """The metric that one of a single number or label is an instance of: `test/mse` of
    `test/mse.length`; or of so many reads, `reads/exact` of `reads/exact_n5`.
    """
    return re.sub(r"^(reads/.*)_n\d+$", r"\1", metric.partition(".")[0])


def is_known(metric: str) -> bool:
    """Whether a run can log a metric of this name."""
    return metric in OWN or without_name(metric) in METRICS


def direction(metric: str) -> Better:
    """Which values of a metric that is known are better."""
    own = OWN.get(metric)
    if own is not None:
        return "higher" if own.higher_is_better else "lower"
    return METRICS[without_name(metric)]


def compared_by(metric: str, reported: Collection[str]) -> str:
    """The metric that runs are compared by: the one asked for, or a loss where none reports it."""
    losses = (name for name in ("best/valid_loss_nats", "test/loss_nats") if name in reported)
    return metric if metric in reported else next(losses, metric)


def of_names(measure: str, values: Mapping[str, float]) -> dict[str, float]:
    """The measure of each number or label, as `mse.NAME`, with the letters that trackers allow.

    Names that come to be equal are numbered.
    """
    found: dict[str, float] = {}
    for name, value in values.items():
        key = plain = f"{measure}.{re.sub(r'[^A-Za-z0-9_. -]', '_', name)[:100]}"
        number = 1
        while key in found:
            number += 1
            key = f"{plain} {number}"
        found[key] = value
    return found


def higher_is_better(name: str) -> bool:
    """Whether a larger value of this metric is the better one."""
    return is_known(name) and direction(name) == "higher"
