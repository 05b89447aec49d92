"""The metrics that runs report, by name: what each means and which way is better."""

from typing import Literal

Better = Literal["lower", "higher", "neither"]

METRICS: dict[str, Better] = {
    "train/loss_nats": "lower",
    "train/accuracy": "higher",
    "train/learning_rate": "neither",
    "train/starts": "neither",
    "valid/loss_nats": "lower",
    "valid/accuracy": "higher",
    "test/loss_nats": "lower",
    "test/accuracy": "higher",
    "test/auroc": "higher",
    "test/auprc": "higher",
    "test/perplexity": "lower",
    "test/bits_per_token": "lower",
    "valid/exact": "higher",
    "valid/word_error": "lower",
    "valid/edit_distance": "lower",
    "valid/bleu": "higher",
    "valid/chrf": "higher",
    "test/exact": "higher",
    "test/word_error": "lower",
    "test/edit_distance": "lower",
    "test/bleu": "higher",
    "test/chrf": "higher",
    "best/epoch": "neither",
    "best/valid_loss_nats": "lower",
    "best/valid_accuracy": "higher",
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
    "baseline/kmer_auroc": "neither",
    "baseline/kmer_auprc": "neither",
    "baseline/scan_auroc": "neither",
    "baseline/scan_auprc": "neither",
    "step/loss_nats": "lower",
    "step/grad_norm": "neither",
    "step/grad_norm_clipped": "neither",
    "step/learning_rate": "neither",
}
"""Every metric that a run can log. `step/*` are logged by update, `motif/*` and `test/*` at an
epoch or at the end, `reads/*` at the end, as means over the clusters of reads whose true sequence
is known, `best/*` are of the epoch that `trainer.monitor` finds best, the others once an epoch;
losses are means in nats per scored token. `best/valid_accuracy` is the accuracy at that epoch,
`best/valid_accuracy_max` the highest of all epochs.

`*/exact` to `*/chrf` are of targets that were written for a context, in validation for
`decode.num_valid` of them: `exact` is the share without an error, `word_error` the
rest, `edit_distance` a mean in symbols, `bleu` and `chrf` are 0 to 100, by sacrebleu.

`motif/correlation_chance` is the median of `motif/correlation` of as many filters with random
weights, read on the same sequences; 95 of 100 such sets are below `motif/correlation_chance_95`.

`gradient_flow/lag_*` are log10 of the norm of the top layer's dL_t/dh_{t-lag} over that at lag 0,
about -300 where it is zero; `factor_per_token` is what that norm is multiplied by a token, over all
lags; singular values are of the recurrent matrices of all layers, the saturated share is of the
activations of their gates."""


def higher_is_better(name: str) -> bool:
    """Whether a larger value of this metric is the better one."""
    return METRICS.get(name) == "higher"
