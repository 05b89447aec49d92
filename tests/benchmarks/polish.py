"""How often the polish and the yardsticks recover a sequence from its reads, and at what CPU time.

python tests/benchmarks/polish.py --sequences 200 --reads 5 10 20 --seed 1000
python tests/benchmarks/polish.py --file ../shared/data/reads/cnr_valid.txt.gz --reads 3 5 10
"""

import argparse
import time
from collections.abc import Callable, Sequence

import torch

from seqexp.dataset.noisy_reads import NoisyReads
from seqexp.decode.estimate import estimate_shared_channel
from seqexp.decode.pair_hmm import Channel
from seqexp.decode.polish import polish_all
from seqexp.decode.score import score
from seqexp.decode.yardsticks import medoid, yardsticks
from seqexp.spec import Cluster

BATCH = 50
"""Clusters that are polished at once."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sequences", type=int, default=200, help="clusters, of a file the first")
    parser.add_argument("--reads", type=int, nargs="+", default=[5, 10, 20], help="of each cluster")
    parser.add_argument("--seed", type=int, default=0, help="of the simulated data")
    parser.add_argument("--file", help="clusters with true sequences; without: simulated")
    parser.add_argument("--length", type=int, default=220, help="of the true sequences")
    parser.add_argument("--by-letter", action="store_true", help="rates for each base and letter")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for num_reads in arguments.reads:
        clusters = load(arguments, num_reads)
        print(f"\n{len(clusters)} clusters, {num_reads} reads each at most", flush=True)
        compare(clusters, arguments)


def load(arguments: argparse.Namespace, num_reads: int) -> tuple[Cluster, ...]:
    if arguments.file is not None:
        data = NoisyReads(
            reads=arguments.file, max_reads=num_reads, max_clusters=arguments.sequences
        )
    else:
        data = NoisyReads(
            num_clusters=arguments.sequences,
            num_reads=num_reads,
            length=arguments.length,
            seed=arguments.seed,
        )
    return data.clusters()


def compare(clusters: Sequence[Cluster], arguments: argparse.Namespace) -> None:
    reads = [cluster.reads for cluster in clusters]
    truths = [cluster.truth or "" for cluster in clusters]
    methods, absent = yardsticks()
    for name, consensus in methods.items():
        report(name, truths, lambda: [consensus(own) for own in reads])  # noqa: B023
    for name in absent:
        print(f"{name:>22}  is not installed: pip install 'seqexp[reads]'")
    channel = Channel.of_rates()
    if arguments.file is not None:
        began = time.process_time()
        # the drafts are those of a first polish; no truth is looked at
        drafts = polished(reads[:100], Channel.of_rates(tail=0.02), None)
        channel = estimate_shared_channel(reads[:100], drafts, by_letter=arguments.by_letter)
        rates = ", ".join(f"{name} {rate:.4f}" for name, rate in channel.rates().items())
        print(f"rates estimated in {time.process_time() - began:.0f} s: {rates}")
    report("polish", truths, lambda: polished(reads, channel, None))
    length = arguments.length
    report(f"polish, length {length}", truths, lambda: polished(reads, channel, length))


def polished(clusters: Sequence[Sequence[str]], channel: Channel, length: int | None) -> list[str]:
    found: list[str] = []
    for start in range(0, len(clusters), BATCH):
        part = clusters[start : start + BATCH]
        drafts = [medoid(reads) for reads in part]
        found += [g.draft for g in polish_all(drafts, part, [channel] * len(part), length)]
    return found


def report(name: str, truths: Sequence[str], decode: Callable[[], list[str]]) -> None:
    began = time.process_time()
    decoded = decode()
    milliseconds = (time.process_time() - began) / len(truths) * 1000
    found = score(decoded, truths)
    print(
        f"{name:>22}  exact {show(found.exact, 3)}"
        f"  normalized edit distance {show(found.normalized_edit_distance, 5)}"
        f"  {milliseconds:7.1f} ms",
        flush=True,
    )


def show(estimate: object, digits: int) -> str:
    mean, error = estimate.mean, estimate.standard_error  # type: ignore[attr-defined]
    return f"{mean:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


if __name__ == "__main__":
    main()
