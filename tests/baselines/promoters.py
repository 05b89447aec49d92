"""What simpler methods do on the promoters, to set beside a network; and a split by groups.

Counted words of 1 to 6 letters with ridge regression, whose penalty is chosen on a tenth of the
training rows; the paper's linear model; their error on the test rows of the table.

    python tests/baselines/promoters.py promoters_lafleur.tsv.gz
    python tests/baselines/promoters.py promoters_lafleur.tsv.gz --groups groups.tsv --seed 0

`--groups` writes a table (id, split) for `dataset.splits`: promoters belong together where five of
their six parts are equal, directly or over others; a group is in one split, the largest trains.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import Ridge

from seqexp.formats.records import read_table

PARTS = ("UP", "m35", "spacer", "m10", "disc", "ITR")
PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--groups", type=Path, help="file for the split by groups")
    parser.add_argument("--seed", type=int, default=0, help="selects validation rows and groups")
    given = parser.parse_args()
    header, *rows = (row.fields for row in read_table(given.table))
    table = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    splits = table["split"]
    if given.groups is not None:
        splits = by_groups(table, given.seed)
        lines = [f"{name}\t{split}\n" for name, split in zip(table["id"], splits, strict=True)]
        given.groups.write_text("id\tsplit\n" + "".join(lines))
    report(table, np.array(splits), given.seed)


def by_groups(table: dict[str, list[str]], seed: int) -> list[str]:
    """The split of each promoter: the largest group trains, a tenth of all validate, a fifth test,
    as far as the other groups suffice.
    """
    groups = connected(list(zip(*(table[part] for part in PARTS), strict=True)))
    members = defaultdict(list)
    for row, group in enumerate(groups):
        members[group].append(row)
    largest, *others = sorted(members.values(), key=len, reverse=True)
    order = np.random.default_rng(seed).permutation(len(others))
    splits = ["train"] * len(groups)
    left = sum(map(len, others))
    counts = {"test": 0, "valid": 0}
    wanted = {"test": round(left * 0.6), "valid": round(left * 0.2)}
    for index in order:
        name = next((one for one in counts if counts[one] < wanted[one]), "train")
        if name != "train":
            counts[name] += len(others[index])
        for row in others[index]:
            splits[row] = name
    print(f"{len(members)} groups, the largest of {len(largest):,}", end="; ")
    print(", ".join(f"{splits.count(name):,} {name}" for name in ("train", "valid", "test")))
    return splits


def connected(parts: list[tuple[str, ...]]) -> list[int]:
    """Number of the group of each promoter."""
    parents = list(range(len(parts)))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    first: dict[tuple[object, ...], int] = {}
    for row, whole in enumerate(parts):
        for left_out in range(len(whole)):
            key = (left_out, *whole[:left_out], *whole[left_out + 1 :])
            parents[root(row)] = root(first.setdefault(key, row))
    return [root(row) for row in range(len(parts))]


def report(table: dict[str, list[str]], splits: np.ndarray, seed: int) -> None:
    """Error of the baselines on the test rows."""
    values = np.array([float(value) for value in table["value"]])
    test = np.flatnonzero(splits == "test")
    train, valid = np.flatnonzero(splits == "train"), np.flatnonzero(splits == "valid")
    if not len(valid):
        drawn = np.random.default_rng(seed).permutation(len(train))
        valid, train = train[drawn[: len(train) // 10]], train[drawn[len(train) // 10 :]]
    print(f"variance of the {len(test):,} test rows {values[test].var():.4f}")
    if "paper_model" in table:
        paper = np.array([float(value) for value in table["paper_model"]])
        print(f"the paper's linear model  test/mse {((paper - values)[test] ** 2).mean():.4f}")
    words = CountVectorizer(analyzer="char", ngram_range=(1, 6), lowercase=False)
    counted: csr_matrix = words.fit_transform([table["sequence"][row] for row in train])
    rest = {name: words.transform([table["sequence"][r] for r in rows])
            for name, rows in (("valid", valid), ("test", test))}  # fmt: skip
    counted, rest = counted.sqrt(), {name: matrix.sqrt() for name, matrix in rest.items()}
    found = []
    for penalty in PENALTIES:
        model = Ridge(alpha=penalty, solver="sparse_cg").fit(counted, values[train])
        found.append((((model.predict(rest["valid"]) - values[valid]) ** 2).mean(), penalty, model))
    error, penalty, model = min(found, key=lambda one: one[0])
    tested = ((model.predict(rest["test"]) - values[test]) ** 2).mean()
    print(
        f"words of 1 to 6 letters, {counted.shape[1]:,}, ridge {penalty:g}"
        f"  valid/mse {error:.4f}  test/mse {tested:.4f}"
    )


if __name__ == "__main__":
    main()
