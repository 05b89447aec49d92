"""Random numbers that are the same on every machine."""

import hashlib

import numpy as np
from jaxtyping import Float


class UniformSource:
    """Uniform numbers in [0, 1), the same on every machine and for every release of NumPy.

    NumPy promises a stable stream for the raw bits of a bit generator only, not for `random()`.
    """

    def __init__(self, seed: int) -> None:
        self.bits = np.random.PCG64(np.random.SeedSequence(seed))

    def __call__(self, *shape: int) -> Float[np.ndarray, "..."]:
        """The next numbers of the stream, in an array of this shape."""
        raw = self.bits.random_raw(int(np.prod(shape))) >> np.uint64(11)
        uniform: np.ndarray = raw.reshape(shape) * 2.0**-53
        return uniform


def stream_seed(seed: int, *names: str | int) -> int:
    """A seed for one use of random numbers: hashed, so that neighbouring seeds share no stream."""
    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1  # 63 bits: what torch's generators take
