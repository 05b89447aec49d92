"""Makes modules without memory and without initial values: to count or to compare their weights."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

VALUES = {
    *(torch.Tensor.normal_, torch.Tensor.uniform_),
    *(value for key, value in vars(nn.init).items() if re.fullmatch(r"[a-z]\w*[a-z]_", key)),
}
"""Functions that only fill a tensor. PyTorch imports its compiler to do nothing on `meta`."""


class _WithoutValues(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        filled = args[0] if args else (kwargs or {}).get("tensor")
        if func in VALUES and filled is not None and filled.is_meta:
            return filled
        if func is torch.eye and len(args) == 1 and not kwargs:
            return torch.empty(args[0], args[0])
        if func is torch.linalg.qr and args[0].is_meta:  # of an orthogonal start
            rows, columns = args[0].shape
            least = min(rows, columns)
            return args[0].new_empty(rows, least), args[0].new_empty(least, columns)
        return func(*args, **(kwargs or {}))


@contextmanager
def weightless() -> Iterator[None]:
    """Within, tensors are made on PyTorch's device `meta`: they have shapes and types only."""
    with torch.device("meta"), _WithoutValues():
        yield
