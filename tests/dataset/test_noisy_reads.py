"""The channel's statistics against exact ones, files of reads, and both views."""

import gzip
import math
import random
from pathlib import Path

import pytest
import torch
from conftest import SHARED, Command

from seqexp.dataset.noisy_reads import NoisyReads
from seqexp.dataset.reads.channel import ErrorRates, random_sequence, read_out
from seqexp.dataset.reads.views import VOCABULARY
from seqexp.errors import InputError
from seqexp.formats.dna import reverse_complement
from seqexp.spec import IGNORE, PAD, Output

RATES = ErrorRates(insertion=0.1, deletion=0.07, substitution=0.2)


def texts(tokens: torch.Tensor) -> list[str]:
    return ["".join(VOCABULARY.decode(row)) for row in tokens.tolist()]


# --- the channel ------------------------------------------------------------------------------


def test_lengths_have_the_channels_mean_and_variance() -> None:
    count, length = 4000, 30
    lengths = torch.tensor(
        [len(read_out("A" * length, RATES, seed)) for seed in range(count)], dtype=torch.float64
    )
    # a base: pi / (1 - pi) = 1/9 inserted, and kept with 1 - .07 / .9 = .92222
    mean, variance = RATES.expected_length(length)
    assert mean == pytest.approx(length * (1 / 9 + 1 - 0.07 / 0.9))
    assert variance == pytest.approx(length * (0.1 / 0.81 + (1 - 0.07 / 0.9) * 0.07 / 0.9))
    assert abs(float(lengths.mean()) - mean) < 5 * math.sqrt(variance / count)
    # the variance of a variance is about 2 v^2 / n; these counts are nearly normal
    assert abs(float(lengths.var()) - variance) < 5 * variance * math.sqrt(2 / count) * 1.2


def test_each_error_has_its_rate() -> None:
    """Of one base A, all reads and their exact probabilities, as `sim_error` has them.

    No insertion (.9 of the range is left): nothing is written with .07; a substitution writes each
    letter with .05; the rest, .63, is A. An insertion before multiplies by .1 / 4.
    """
    count = 10_000
    reads = [read_out("A", RATES, seed) for seed in range(count)]
    exact = {"": 0.07, "A": 0.63 + 0.05 + 0.1 / 4 * 0.07, "C": 0.05 + 0.1 / 4 * 0.07}
    exact["GT"] = 0.1 / 4 * (0.05 + 0.1 / 4 * 0.07)  # GT: G inserted, T written or inserted
    exact["TA"] = 0.1 / 4 * (0.68 + 0.1 / 4 * 0.07)
    for read, probability in exact.items():
        error = math.sqrt(probability * (1 - probability) / count)
        assert abs(reads.count(read) / count - probability) < 5 * error, read


def test_reads_are_as_the_notebooks_loop_would_write_them() -> None:
    """The same draws through `sim_error` as it stands in the notebook, one letter at a time."""
    from seqexp.seeding import UniformSource

    for seed in range(50):
        sequence = random_sequence(40, seed)
        uniform = UniformSource(seed + 1)
        stream = iter(uniform(1000, 2).tolist())
        out = []
        for base in sequence:
            r, letter = next(stream)
            while r < RATES.insertion:
                out.append("ACGT"[int(letter * 4)])
                r, letter = next(stream)
            r -= RATES.insertion
            if r < RATES.deletion:
                continue
            r -= RATES.deletion
            out.append("ACGT"[int(letter * 4)] if r < RATES.substitution else base)
        assert read_out(sequence, RATES, seed + 1) == "".join(out)


def test_the_simulation_is_the_same_everywhere() -> None:
    """Pinned; only a change of the simulation itself may move them."""
    data = NoisyReads(length=12, num_reads=2, num_clusters=2, insertion=0.2, seed=3).clusters()
    assert [cluster.truth for cluster in data] == PINNED_TRUTHS
    assert data[0].reads == PINNED_READS


PINNED_TRUTHS = ["CCCTGCCGCGGG", "ACACGGTTGCGT"]
PINNED_READS = ("CCCTCGCCTGGCGGG", "CCCTGCCGGGACGGGG")


def test_reads_do_not_depend_on_how_many_there_are() -> None:
    few = NoisyReads(length=30, num_reads=2, num_clusters=1).clusters()
    many = NoisyReads(length=30, num_reads=5, num_clusters=3).clusters()
    assert many[0].truth == few[0].truth and many[0].reads[:2] == few[0].reads
    assert len({cluster.truth for cluster in many}) == 3
    other = NoisyReads(length=30, num_reads=2, num_clusters=1, seed=1).clusters()
    assert other[0].truth != few[0].truth


# --- views ------------------------------------------------------------------------------------


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_windows_are_all_windows_with_the_letter_after(tmp_path: Path) -> None:
    file = written(tmp_path / "reads.txt", "ACGT\nACGT\nGG\n")
    data = NoisyReads(reads=file, view="windows", window=3, valid_share=0.0).load()
    # of <ACGT>; GG with its ends has four letters, and so one window
    assert texts(data.train.tokens) == ["<AC", "ACG", "CGT", "<GG"]
    labels = [data.spec.output_names[label] for label in data.train.targets[:, 0].tolist()]
    assert labels == ["G", "T", ">", ">"]
    assert data.spec.output is Output.SEQUENCE_CLASS and data.spec.num_outputs == 6
    assert data.spec.length == 3
    assert texts(data.test.tokens) == ["<AC", "ACG", "CGT"]  # of the true sequence


def test_whole_reads_start_and_end_and_are_padded(tmp_path: Path) -> None:
    file = written(tmp_path / "reads.txt", "ACGT\nACGT\nGG\n")
    data = NoisyReads(reads=file, valid_share=0.0).load()
    assert data.train.tokens.tolist() == [[1, 2, 3, 4, 5], [1, 4, 4, PAD, PAD]]
    assert data.train.targets.tolist() == [[2, 3, 4, 5, 6], [4, 4, 6, IGNORE, IGNORE]]
    assert data.spec.output is Output.NEXT_TOKEN and data.spec.length is None
    assert [data.spec.output_names[i] for i in (1, 6)] == ["<", ">"]
    assert not data.train.is_stream


def test_a_reversed_model_reads_from_the_end(tmp_path: Path) -> None:
    file = written(tmp_path / "reads.txt", "AACG\nACG\nGT\n")
    data = NoisyReads(reads=file, valid_share=0.0, reverse=True).load()
    assert texts(data.train.tokens) == ["<GCA", "<TG"]
    assert texts(data.test.tokens) == ["<GCAA"]
    assert data.clusters[0].reads == ("ACG", "GT")  # what was read stays as it was


@pytest.mark.parametrize("view", ["windows", "reads"])
def test_no_read_is_both_in_training_and_validation(view: str) -> None:
    data = NoisyReads(
        num_clusters=3, num_reads=5, length=60, view=view, window=20, valid_share=0.4
    ).load()
    assert [len(cluster.reads) for cluster in data.clusters] == [5, 5, 5]
    if view == "reads":
        expected = {"<" + r for cluster in data.clusters for r in cluster.reads[3:]}
        assert set(texts(data.valid.tokens)) == expected and len(data.train) == 9
        assert not expected & set(texts(data.train.tokens))
    else:
        numbers = [
            sum(len(r) + 2 - 20 for c in data.clusters for r in c.reads[a:b])
            for a, b in ((0, 3), (3, 5))
        ]
        assert [len(data.train), len(data.valid)] == numbers


def test_a_cluster_of_one_read_is_for_training(tmp_path: Path) -> None:
    file = written(tmp_path / "reads.txt", "ACGT\nACGA\n\nTTTT\nTTTA\nTATT\n")
    data = NoisyReads(reads=file).load()
    assert texts(data.train.tokens) == ["<ACGA", "<TTTA"]
    assert texts(data.valid.tokens) == ["<TATT"]


# --- files ------------------------------------------------------------------------------------


def test_clusters_are_read_with_their_truths(tmp_path: Path) -> None:
    text = "ACGT\nacgt\nACU\n\n\nGG\nGGG\n"
    plain = NoisyReads(reads=written(tmp_path / "c.txt", text)).clusters()
    assert [(c.truth, c.reads) for c in plain] == [("ACGT", ("ACGT", "ACT")), ("GG", ("GGG",))]
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    assert NoisyReads(reads=str(tmp_path / "c.txt.gz")).clusters() == plain
    without = NoisyReads(reads=str(tmp_path / "c.txt"), reads_have_truth=False).clusters()
    assert without[1].truth is None and without[1].reads == ("GG", "GGG")
    first = NoisyReads(reads=str(tmp_path / "c.txt"), max_reads=1, max_clusters=1).clusters()
    assert [(c.truth, c.reads) for c in first] == [("ACGT", ("ACGT",))]


def test_fasta_and_fastq_are_one_cluster(tmp_path: Path) -> None:
    fasta = written(tmp_path / "r.fasta", ">one\nACG\nTT\n>two\nACGT\n")
    assert [c.reads for c in NoisyReads(reads=fasta).clusters()] == [("ACGTT", "ACGT")]
    truth = NoisyReads(reads=fasta, reads_have_truth=True).clusters()[0]
    assert (truth.truth, truth.reads) == ("ACGTT", ("ACGT",))
    fastq = written(tmp_path / "r.fastq", "@one\nACGTT\n+\nIIIII\n@two\nACGT\n+\n@@@@\n")
    assert [c.reads for c in NoisyReads(reads=fastq).clusters()] == [("ACGTT", "ACGT")]
    data = NoisyReads(reads=fastq, valid_share=0.5).load()  # no truth: tested on validation
    assert texts(data.test.tokens) == texts(data.valid.tokens) == ["<ACGT"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "holds no read; expected are FASTA"),
        (
            "ACGT\nACNT\n",
            r"the read at line 2 has 'N'; letters are ACGT; or leave .*bad_reads=skip",
        ),
        ("ACNT\nACGT\n", "the true sequence at line 1 has 'N'; letters are ACGT$"),
        ("ACGT\n\nACGT\nACGT\n", "at line 1, the true sequence is followed by no read"),
        (">a\n>b\nACGT\n", r"the read at record 1 \(a\) is empty"),
        ("@a\nACGT\n+\nIII\n", "line 1: is no record of FASTQ: 'a' has 4 letters, but 3 qual"),
        (b"\xff\xfe", "is UTF-16; save it as UTF-8"),
        (b"\x1f\x8b\x08broken", "cannot be read"),
    ],
)
def test_files_that_are_not_sound_are_named(
    tmp_path: Path, content: str | bytes, says: str
) -> None:
    path = tmp_path / "reads"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError, match=f"{path}.*{says}"):
        NoisyReads(reads=str(path)).load()


def test_bad_reads_can_be_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = written(tmp_path / "r.fasta", ">a\n\n>b\nACN\n>c\nACG\n")
    assert NoisyReads(reads=file, bad_reads="skip").clusters()[0].reads == ("ACG",)
    assert "2 reads that are empty or have other letters were left out" in caplog.text
    file = written(tmp_path / "bad.fasta", ">a\nNN\n")
    with pytest.raises(InputError, match=r"at record 1 \(a\), no read is left"):
        NoisyReads(reads=file, bad_reads="skip").clusters()


def test_windows_may_begin_before_the_read() -> None:
    without = NoisyReads(view="windows", window=3, length=8, num_reads=2, valid_share=0.5).load()
    with_starts = NoisyReads(
        view="windows", window=3, length=8, num_reads=2, valid_share=0.5, window_starts=True
    ).load()
    assert len(with_starts.train) == len(without.train) + 2
    first, second, third = with_starts.train.tokens[:3].tolist()
    read = with_starts.clusters[0].reads[0]
    ids = with_starts.spec.vocabulary.encode(["<", *read])
    assert first == [1, 1, 1]
    assert second == [1, 1, ids[1]]
    assert third == ids[:3] == without.train.tokens[0].tolist()
    assert with_starts.train.targets[0].item() == ids[1] - 1  # the first letter follows '<<<'


def test_reads_shorter_than_a_window_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="dataset.window is 50, but the longest read has 4 letters"
    ):
        NoisyReads(reads=written(tmp_path / "r.txt", "ACGT\nACGT\n"), view="windows").load()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("dataset.reads=nowhere.fa",), "dataset.reads is nowhere.fa: there is no such file"),
        (("dataset.insertion=0.6", "dataset.deletion=0.5"), "which sum to 1.11; give rates"),
        (("dataset.reads_have_truth=true",), "reads_have_truth is true, but dataset.reads is null"),
        (("dataset.view=words",), "dataset.view is 'words'; give one of windows, reads"),
        (("model=lstm", "model.bidirectional=true"), "the dataset wants the next token predicted"),
    ],
)
def test_what_cannot_be_is_refused_with_status_2(
    seqexp: Command, arguments: tuple[str, ...], says: str
) -> None:
    done = seqexp("dataset=noisy-reads", *arguments)
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr


def test_windows_may_be_read_from_both_sides(seqexp: Command) -> None:
    """What the dataset wants predicted follows from its view, also for the config check."""
    arguments = ("dataset.view=windows", "model=lstm", "model.bidirectional=true")
    done = seqexp("dataset=noisy-reads", *arguments, "optimizer.lr=-1")
    assert "has 1 fault" in done.stderr and "optimizer.lr is -1" in done.stderr


def test_real_nanopore_clusters_are_read() -> None:
    file = SHARED / "reads" / "cnr_valid.txt.gz"
    if not file.is_file():
        pytest.skip("the reads are not here")
    clusters = NoisyReads(reads=str(file)).clusters()
    assert len(clusters) == 998 and sum(len(c.reads) for c in clusters) == 27_951
    assert {len(c.truth or "") for c in clusters} == {110}
    assert random.Random(0).choice(clusters).reads


# --- lines of signs ---------------------------------------------------------------------------


@pytest.mark.parametrize("sign", ["=" * 31, "*", "---", "####", "# cluster 1"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_of_signs_divide_clusters(tmp_path: Path, sign: str, end: str) -> None:
    reads = [("ACGT", "ACG"), ("GG", "GGG", "GT"), ("TT", "T")]
    before = "".join(f"{sign}\n" + "\n".join(cluster) + "\n" for cluster in reads)
    between = f"\n{sign}\n".join("\n".join(cluster) for cluster in reads)
    for content in (before, between, f"{sign}\n{before}"):
        path = tmp_path / "c.txt"
        path.write_bytes(("\ufeff" + content.replace("\n", end)).encode())
        for bad_reads in ("refuse", "skip"):
            without = NoisyReads(reads=str(path), reads_have_truth=False, bad_reads=bad_reads)
            assert [cluster.reads for cluster in without.clusters()] == reads
        with_truth = NoisyReads(reads=str(path), reads_have_truth=True).clusters()
        assert [(c.truth, *c.reads) for c in with_truth] == reads
        with pytest.raises(InputError, match="divides clusters by signs, but dataset.reads_have_"):
            NoisyReads(reads=str(path)).clusters()


def test_a_line_of_signs_may_set_the_true_sequence_apart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "ACGT\n*****\nACG\nACGT\n\n\nGG\n*****\n\n\nTT\n*****\nTTT\n\n\n"
    found = NoisyReads(reads=written(tmp_path / "c.txt", text)).clusters()
    assert [(c.truth, c.reads) for c in found] == [("ACGT", ("ACG", "ACGT")), ("TT", ("TTT",))]
    assert "1 clusters that have no read were left out" in caplog.text
    with pytest.raises(InputError, match="line 2 sets a true sequence apart .* is false; give"):
        NoisyReads(reads=str(tmp_path / "c.txt"), reads_have_truth=False).clusters()
    mixed = written(tmp_path / "mixed.txt", text + "AA\nAC\n\n")
    with pytest.raises(
        InputError, match="line 2 sets .* apart .*, and line 17 ends a cluster, wit"
    ):
        NoisyReads(reads=mixed).clusters()


@pytest.mark.parametrize("heading", ["cluster 1", "CLUSTER", "[1]", "id,read", "1:"])
def test_headings_are_never_left_out_as_bad_reads(tmp_path: Path, heading: str) -> None:
    text = f"{heading}\nACGT\nACG\n{heading}\nGG\nGGG\n"
    with pytest.raises(InputError, match="line 1 is .*, no read; expected are"):
        NoisyReads(reads=written(tmp_path / "c.txt", text), bad_reads="skip").clusters()


# --- strands ----------------------------------------------------------------------------------


def copies(seed: int, count: int, length: int = 100) -> tuple[str, list[str]]:
    truth = random_sequence(length, seed)
    rates = ErrorRates(0.03, 0.03, 0.03)
    return truth, [read_out(truth, rates, 1000 * seed + i) for i in range(count)]


def test_reads_of_the_other_strand_are_turned_and_counted(tmp_path: Path) -> None:
    text, wanted = "", []
    for seed in range(5):
        truth, reads = copies(seed, 8)
        wanted.append((truth, tuple(reads)))
        mixed = [reverse_complement(read) if i % 2 else read for i, read in enumerate(reads)]
        text += "\n".join([truth, *mixed]) + "\n\n"
    data = NoisyReads(reads=written(tmp_path / "c.txt", text)).load()
    assert [(cluster.truth, cluster.reads) for cluster in data.clusters] == wanted
    assert data.notes == ("20 of 40 reads were of the other strand, and are turned",)


def test_without_a_truth_most_reads_say_the_strand(tmp_path: Path) -> None:
    _, reads = copies(1, 9)
    for turned in ((0, 4), (1, 2, 3, 5, 6, 7, 8)):
        mixed = [reverse_complement(r) if i in turned else r for i, r in enumerate(reads)]
        text = "".join(f">r{i}\n{read}\n" for i, read in enumerate(mixed))
        found = NoisyReads(reads=written(tmp_path / "r.fa", text)).clusters()[0].reads
        kept = reads if len(turned) < 5 else [reverse_complement(read) for read in reads]
        assert found == tuple(kept)


def test_reads_of_one_strand_and_unrelated_ones_stay_as_they_are(tmp_path: Path) -> None:
    for seed in range(30):
        truth, reads = copies(seed, 5, length=(12, 25, 60)[seed % 3])
        alien = random_sequence(len(truth), seed + 500)
        palindrome = truth[: len(truth) // 2]
        palindrome += reverse_complement(palindrome)
        for cluster in ([truth, *reads, alien], [palindrome, palindrome, palindrome[1:]]):
            file = written(tmp_path / "c.txt", "\n".join(cluster) + "\n")
            assert NoisyReads(reads=file).clusters()[0].reads == tuple(cluster[1:])
    truth, reads = copies(1, 5)
    file = written(tmp_path / "c.txt", "\n".join([truth, *reads, random_sequence(100, 77)]))
    (note,) = NoisyReads(reads=file).load().notes
    assert note.startswith("1 of 6 reads are like neither strand of their cluster")


def test_a_chopped_read_of_the_other_strand_is_turned(tmp_path: Path) -> None:
    truth, reads = copies(3, 6)
    part = reverse_complement(truth[20:60])
    file = written(tmp_path / "c.txt", "\n".join([truth, *reads, part]) + "\n")
    assert NoisyReads(reads=file).clusters()[0].reads == (*reads, truth[20:60])
