"""The notebook's LSTM for film reviews in plain PyTorch: a twin of experiment=notebook/imdb.

The same reviews, words, cut, padding, initialisers, masks a gate, batches of 32 and Adam; of seqexp
only the reading of reviews. It prints the test accuracy of each seed, then mean and standard
deviation. With `--runs FILE`, the accuracies of runs of seqexp, one a line, are compared: means by
Welch's t, spreads by an F-test.

    python tests/baselines/plain_imdb.py FOLDER [--seeds 8] [--first 0] [--epochs 1] [--runs FILE]

FOLDER holds aclImdb_v1.tar.gz or aclImdb/.
Source: keras/examples/imdb_lstm.py; Gal & Ghahramani (2016) for the masks.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from seqexp.dataset.imdb import IMDB

SIZE = 128
"""Numbers of a word's vector, and units."""

DROPPED = 0.2
"""Share of a word's vector, and of the state before it."""


class Twin(nn.Module):
    """Vectors, one LSTM layer with gates i, f, g, o, one output."""

    def __init__(self, num_words: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(num_words, SIZE, padding_idx=0)
        self.w = nn.Parameter(torch.empty(SIZE, 4 * SIZE))
        self.u = nn.Parameter(torch.empty(SIZE, 4 * SIZE))
        self.b = nn.Parameter(torch.zeros(4 * SIZE))
        self.output = nn.Linear(SIZE, 1)
        nn.init.uniform_(self.vectors.weight, -0.05, 0.05)
        nn.init.xavier_uniform_(self.w)
        nn.init.orthogonal_(self.u)
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        with torch.no_grad():
            self.vectors.weight[0] = 0
            self.b[SIZE : 2 * SIZE] = 1

    def forward(self, words: Tensor) -> Tensor:
        """Logits of reviews (batch, time), whose padding 0 leaves the state as it is."""
        x = self.vectors(words)  # (batch, time, SIZE)
        gates = self.w.chunk(4, dim=1)
        if self.training:
            masks = [self._mask(x) for _ in gates]
            x = torch.cat([(x * m[:, None]) @ w for m, w in zip(masks, gates, strict=True)], dim=2)
            kept = torch.stack([self._mask(x) for _ in gates])  # (gates, batch, SIZE)
        else:
            x, kept = x @ self.w, None
        x = x + self.b
        h = c = x.new_zeros(len(x), SIZE)
        each = torch.stack(self.u.chunk(4, dim=1))  # (gates, SIZE, SIZE)
        for step in range(x.shape[1]):
            if kept is None:
                products = h @ self.u
            else:
                products = torch.bmm(h * kept, each).transpose(0, 1).flatten(1)
            i, f, g, o = (x[:, step] + products).chunk(4, dim=1)
            new_c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            new_h = o.sigmoid() * new_c.tanh()
            real = (words[:, step] != 0)[:, None]
            c, h = torch.where(real, new_c, c), torch.where(real, new_h, h)
        return self.output(h)[:, 0]

    @staticmethod
    def _mask(x: Tensor) -> Tensor:
        return torch.bernoulli(torch.full((len(x), SIZE), 1 - DROPPED)) / (1 - DROPPED)


def main() -> None:
    """Print a line for each seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--runs", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = IMDB(
        given.folder,
        max_tokens=20_000,
        max_length=80,
        pad="left",
        one_output=True,
        valid_share=0.0,
        validate_on_test=True,
    ).load()
    splits = [(s.tokens.long(), s.targets[:, 0].float()) for s in (data.train, data.test)]
    seeds = range(given.first, given.first + given.seeds)
    found = [trained(seed, given.epochs, *splits) for seed in seeds]
    told(found, given.runs)


def trained(
    seed: int, epochs: int, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]
) -> float:
    """Test accuracy after the last epoch."""
    torch.manual_seed(seed)
    model = Twin(20_000)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7)
    words, labels = train
    for epoch in range(1, epochs + 1):
        model.train()
        total = 0.0
        for rows in torch.randperm(len(words)).split(32):
            optimizer.zero_grad()
            loss = binary_cross_entropy_with_logits(model(words[rows]), labels[rows])
            loss.backward()
            optimizer.step()
            total += float(loss) * len(rows)
        right = accuracy(model, *test)
        print(
            f"seed {seed}  epoch {epoch}  train/loss_nats {total / len(words):.4f}"
            f"  test/accuracy {right:.4f}",
            flush=True,
        )
    return right


@torch.no_grad()
def accuracy(model: Twin, words: Tensor, labels: Tensor) -> float:
    """Share of reviews on the right side of zero."""
    model.eval()
    right = [
        ((model(some) > 0) == (of > 0.5)).float()
        for some, of in zip(words.split(1000), labels.split(1000), strict=True)
    ]
    return float(torch.cat(right).mean())


def told(found: list[float], runs: Path | None) -> None:
    """Print mean and spread, and how they compare with others."""
    ours = np.array(found)
    print(f"{len(ours)} seeds: {ours.mean():.4f} +- {ours.std(ddof=1):.4f}")
    if runs is None:
        return
    others = np.array([float(line) for line in runs.read_text().split()])
    welch = stats.ttest_ind(others, ours, equal_var=False)
    ratio = others.var(ddof=1) / ours.var(ddof=1)
    above = stats.f.sf(ratio, len(others) - 1, len(ours) - 1)
    low, high = welch.confidence_interval()
    print(f"{len(others)} runs: {others.mean():.4f} +- {others.std(ddof=1):.4f}")
    print(f"difference of means {others.mean() - ours.mean():+.4f} ({low:+.4f} to {high:+.4f})")
    print(f"ratio of variances {ratio:.2f}, p {2 * min(above, 1 - above):.3f} (F, both sides)")


if __name__ == "__main__":
    main()
