"""Counted n-grams by operations that ONNX has: no search, and no part of a sequence left out."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqexp.model.counting.grams import NONE
from seqexp.model.counting.table import SMALL, NGramTable
from seqexp.model.ngrams import NGrams
from seqexp.spec import Carry


def rows(
    table: NGramTable,
    tokens: Int[Tensor, "batch time"],
    before: Int[Tensor, "batch earlier"] | None = None,
) -> Int[Tensor, "batch time patterns"]:
    """What `NGramTable.rows` gives of counted n-grams, by halving instead of a search."""
    codes = table.grams.codes(tokens.long(), before)
    size = table.grams.base**table.grams.span
    if size <= SMALL:
        index = torch.zeros(size, dtype=torch.long)
        index[table.keys] = torch.arange(1, len(table.keys) + 1)
        return index[codes]
    low = torch.zeros_like(codes)
    high = torch.full_like(codes, len(table.keys) - 1)
    for _ in range(len(table.keys).bit_length()):
        middle = (low + high) // 2
        is_above = table.keys[middle] < codes
        low, high = torch.where(is_above, middle + 1, low), torch.where(is_above, high, middle)
        low = torch.minimum(low, high)
    is_known = (table.keys[low] == codes) & (codes != NONE)
    return torch.where(is_known, low + 1, torch.zeros_like(low))


def logits(
    model: NGrams, tokens: Int[Tensor, "batch time"], carry: Carry | None = None
) -> tuple[Float[Tensor, "batch 1 outputs"], Carry]:
    """What a model of n-grams gives; each place counts as its share of the equal ones."""
    found = model.ngrams.rows(tokens).flatten(1)  # (batch, places)
    values = (found > 0).to(model.bias.dtype)
    if model.is_binary or model.weighting == "tf-idf":
        equal = (found[:, :, None] == found[:, None]).to(values.dtype).sum(dim=2)
        values = values / equal
        if model.weighting == "tf-idf":
            each = model.ngrams.scale.to(values.dtype)[found]
            if not model.is_binary:
                each = each * (1 + equal.log())
            values = values * each
            # of a sum over places, each of `equal` ones: the square of a value once
            norm = (values * each).sum(dim=1, keepdim=True).sqrt()
            values = values / norm.clamp(min=torch.finfo(norm.dtype).tiny)
    sums = (values[:, :, None] * model.ngrams.table[found]).sum(dim=1)
    return model.as_logits(sums + model.bias), ()
