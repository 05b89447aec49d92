"""Models of RNA and proteins: what they read, explain and refuse."""

import random
from pathlib import Path

import pytest
import torch

from seqexp.data import Data
from seqexp.dataset.dna.alphabets import AMINO_ACIDS
from seqexp.dataset.fasta import Fasta
from seqexp.errors import InputError
from seqexp.inference.asked import refuse_other_than_dna
from seqexp.inference.explained import Explainer
from seqexp.inference.inputs import read
from seqexp.inference.insertion.effects import refuse_other_models
from seqexp.inference.saved_model import SavedModel
from seqexp.model.cnn1d import CNN1D
from seqexp.model.ngrams import NGrams
from seqexp.task.ranking import auroc

SITES = {"rna": "UGUAAAUA", "protein": "RKWSTH"}
LETTERS = {"rna": "ACGU", "protein": AMINO_ACIDS}


def loaded(folder: Path, alphabet: str, count: int = 120) -> Data:
    """Sequences of 30 letters; half of them hold the site anywhere."""
    draw = random.Random(2)
    rows = ["sequence,label"]
    for number in range(count):
        letters = "".join(draw.choices(LETTERS[alphabet], k=30))
        at = draw.randrange(30 - len(SITES[alphabet]))
        if number % 2:
            letters = letters[:at] + SITES[alphabet] + letters[at + len(SITES[alphabet]) :]
        rows.append(f"{letters},{number % 2}")
    path = folder / f"{alphabet}.csv"
    path.write_text("\n".join(rows) + "\n")
    return Fasta(table=str(path), alphabet=alphabet, length=30).load()


@pytest.mark.parametrize("alphabet", SITES)
def test_counted_words_find_the_site(tmp_path: Path, alphabet: str) -> None:
    data = loaded(tmp_path, alphabet)
    model = NGrams(data.spec, sizes=[3], min_count=1)
    model.ngrams.count(data.train)
    model.solver(data.train).fit(1)
    with torch.no_grad():
        logits = model.eval()(data.test.tokens.long())[0][:, 0]
    margins = logits[:, -1] - (logits[:, 0] if logits.shape[1] == 2 else 0)
    is_positive = data.test.targets[:, 0] == 1
    assert float(auroc(margins.numpy(), is_positive.numpy()) or 0) > 0.95


@pytest.mark.parametrize("alphabet", SITES)
def test_a_file_is_read_and_explained_letter_by_letter(tmp_path: Path, alphabet: str) -> None:
    data = loaded(tmp_path, alphabet)
    torch.manual_seed(0)
    saved = SavedModel(CNN1D(data.spec, num_filters=4, filter_width=5).eval(), data.spec, {})
    file = tmp_path / "new.fa"
    file.write_text(f">one\n{(LETTERS[alphabet] * 8)[:30]}\n")
    given = list(read(saved, str(file), "auto", None))
    for method in ("ism", "integrated-gradients"):
        (one,) = Explainer(saved, method, None).batch(given)  # type: ignore[arg-type]
        assert one.letters == (LETTERS[alphabet] * 8)[:30]
        assert one.parts.shape == (30, len(LETTERS[alphabet]))


@pytest.mark.parametrize("alphabet", SITES)
def test_what_needs_another_strand_is_refused(tmp_path: Path, alphabet: str) -> None:
    spec = loaded(tmp_path, alphabet, 40).spec
    for model in (CNN1D, NGrams):
        with pytest.raises(InputError, match=r"model\.strands is both, .* no DNA.*give forward"):
            model(spec, strands="both")  # type: ignore[operator]
    with pytest.raises(InputError, match="the other strand is that of DNA; give one"):
        refuse_other_than_dna(spec, "run 3f9c")
    with pytest.raises(InputError, match="motifs are put into DNA"):
        refuse_other_models(spec)
