"""Do attributions point to what was planted, and is in-silico mutagenesis as fast as tangermeme's?

Trains a network on made DNA with a motif anywhere in half of the sequences, for each seed, and
prints of each method the AUROC of the planted positions over all letters of the test sequences that
hold the motif, and the largest convergence delta. With --speed it prints seconds of mutagenesis of
100 sequences of 200 letters, here and by tangermeme, on one thread.

python tests/benchmarks/attributions.py --models cnn1d lstm --seeds 3
python tests/benchmarks/attributions.py --speed
"""

import argparse
import statistics
import time

import torch
from torch import Tensor, nn

from seqexp.dataset.motif import Motif
from seqexp.inference.explained import Explainer
from seqexp.inference.prediction import Given
from seqexp.inference.saved_model import SavedModel
from seqexp.model.cnn1d import CNN1D
from seqexp.model.lstm import LSTM
from seqexp.spec import Output, TaskSpec, Vocabulary
from seqexp.task.ranking import auroc

METHODS = {
    "cnn1d": ("ism", "gradient", "integrated-gradients", "deep-lift"),
    "lstm": ("ism", "gradient", "integrated-gradients"),
}


def trained(name: str, spec: TaskSpec, tokens: Tensor, targets: Tensor, seed: int) -> nn.Module:
    """A network after so many epochs that it tells nearly all sequences apart."""
    torch.manual_seed(seed)
    model: nn.Module = (
        CNN1D(spec, num_filters=16, filter_width=18)
        if name == "cnn1d"
        else LSTM(spec, hidden_size=32, bidirectional=True, readout="max")
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for _ in range(15 if name == "cnn1d" else 10):
        for rows in torch.randperm(len(tokens)).split(32):
            optimizer.zero_grad()
            logits = model(tokens[rows])[0][:, 0]
            nn.functional.cross_entropy(logits, targets[rows, 0]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    return model.eval()


def planted(name: str, seeds: int) -> None:
    """Print the AUROC of planted positions, by method."""
    found: dict[str, list[float]] = {}
    deltas: dict[str, float] = {}
    for seed in range(seeds):
        data = Motif(placement="uniform", length=60, seed=seed, num_test=200).load()
        train, test = data.train, data.test
        model = trained(name, data.spec, train.tokens.long(), train.targets.long(), seed)
        with torch.no_grad():
            right = model(test.tokens.long())[0][:, 0].argmax(dim=1) == test.targets[:, 0]
        print(f"{name} seed {seed}: accuracy of the test {right.float().mean():.3f}")
        holds = (test.targets[:, 0] == 1).nonzero()[:, 0]
        given = [Given(str(row), test.tokens[row].tolist()) for row in holds.tolist()]
        assert test.planted is not None
        there = test.planted[holds].numpy().ravel()
        for method in METHODS[name]:
            explainer = Explainer(
                SavedModel(model, data.spec, {}),
                method,  # type: ignore[arg-type]
                data.spec.output_names[1],
            )
            explained = explainer.batch(given)
            values = torch.tensor([one.values.tolist() for one in explained]).numpy().ravel()
            found.setdefault(method, []).append(float(auroc(values, there) or 0))
            delta = max(abs(one.delta or 0) for one in explained)
            deltas[method] = max(delta, deltas.get(method, 0))
    for method, values in found.items():
        spread = ", ".join(f"{value:.4f}" for value in values)
        mean = statistics.mean(values)
        print(f"{name} {method}: AUROC {spread}, mean {mean:.4f}; delta {deltas[method]:.1e}")


def speed() -> None:
    """Print seconds of mutagenesis, here and by tangermeme, the better of three."""
    from tangermeme.saturation_mutagenesis import saturation_mutagenesis

    torch.set_num_threads(1)
    vocabulary = Vocabulary(tuple("ACGT"))
    spec = TaskSpec(vocabulary, 2, Output.SEQUENCE_CLASS, ("without", "with"))
    tokens = torch.randint(1, 5, (100, 200))
    given = [Given(str(row), tokens[row].tolist()) for row in range(100)]

    class OnOneHot(nn.Module):
        """The same network as tangermeme calls it: (batch, symbols, time) to log-odds."""

        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, one_hot: Tensor) -> Tensor:
            logits = self.model(one_hot.transpose(1, 2))[0][:, 0]
            return logits[:, 1:] - logits[:, :1]

    for name in METHODS:
        torch.manual_seed(0)
        model = CNN1D(spec, num_filters=64) if name == "cnn1d" else LSTM(spec, hidden_size=32)
        model.eval()
        one_hot = nn.functional.one_hot(tokens - 1, 4).float().transpose(1, 2)
        ours, theirs = [], []
        for _ in range(3):
            explainer = Explainer(SavedModel(model, spec, {}), "ism", "with")
            explainer.deletion.count = 10**9  # without deletion curves, which tangermeme has not
            began = time.perf_counter()
            explained = explainer.batch(given)
            ours.append(time.perf_counter() - began)
            began = time.perf_counter()
            other = saturation_mutagenesis(
                OnOneHot(model), one_hot, device="cpu", batch_size=256, hypothetical=True
            )
            theirs.append(time.perf_counter() - began)
        own = torch.stack([torch.from_numpy(one.parts.T) for one in explained])  # type: ignore[union-attr]
        apart = float((own - other).abs().max())
        print(f"{name}: {min(ours):.2f} s, tangermeme {min(theirs):.2f} s; apart by {apart:.1e}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["cnn1d", "lstm"], choices=METHODS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--speed", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.speed:
        speed()
    else:
        for model_name in chosen.models:
            planted(model_name, chosen.seeds)
