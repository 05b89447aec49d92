"""How often the polish and the yardsticks recover a sequence from its reads, and at what CPU time.

python tests/benchmarks/polish.py --clusters 200 --reads 5 10 20 --seed 1000
python tests/benchmarks/polish.py --file ../shared/data/reads/cnr_valid.txt.gz --length 110 \
    --clusters 998 --reads 3 5 10
"""

import argparse

import torch

from seqexp.data import Cluster
from seqexp.dataset.noisy_reads import NoisyReads
from seqexp.decode.consensus.baselines import yardsticks
from seqexp.decode.consensus.pair_hmm import Channel
from seqexp.decode.consensus.score import Estimate
from seqexp.decode.consensus.table import Decoded, channel_of, consensus


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--clusters", type=int, default=200, help="of a file the first")
    parser.add_argument("--reads", type=int, nargs="+", default=[5, 10, 20], help="of each cluster")
    parser.add_argument("--seed", type=int, default=0, help="of the simulated data")
    parser.add_argument("--file", help="clusters with true sequences; without: simulated")
    parser.add_argument("--length", type=int, default=220, help="of the true sequences")
    parser.add_argument("--by-letter", action="store_true", help="rates for each base and letter")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in yardsticks()[1]:
        print(f"{name} is not installed: pip install 'seqexp[reads]'")
    for num_reads in arguments.reads:
        clusters = load(arguments, num_reads)
        print(f"\n{len(clusters)} clusters, at most {num_reads} reads each", flush=True)
        channel = Channel.of_rates()
        if arguments.file is not None:
            channel = channel_of(clusters, arguments.by_letter)
            rates = ", ".join(f"{name} {rate:.4f}" for name, rate in channel.rates().items())
            print(f"rates: {rates}")
        for decoded in consensus(clusters, channel, arguments.length):
            print(line(decoded), flush=True)


def load(arguments: argparse.Namespace, num_reads: int) -> tuple[Cluster, ...]:
    if arguments.file is not None:
        file, count = arguments.file, arguments.clusters
        return NoisyReads(reads=file, max_reads=num_reads, max_clusters=count).clusters()
    return NoisyReads(
        num_clusters=arguments.clusters,
        num_reads=num_reads,
        length=arguments.length,
        seed=arguments.seed,
    ).clusters()


def line(decoded: Decoded) -> str:
    assert decoded.score is not None
    exact, distance = decoded.score.exact, decoded.score.normalized_edit_distance
    return (
        f"{decoded.method:>20}  exact {shown(exact, 3)}"
        f"  normalized edit distance {shown(distance, 5)}  {decoded.milliseconds:7.1f} ms"
    )


def shown(estimate: Estimate, digits: int) -> str:
    error = estimate.standard_error
    return f"{estimate.mean:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


if __name__ == "__main__":
    main()
