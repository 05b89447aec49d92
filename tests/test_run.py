"""What a run sets up in PyTorch."""

import torch

from seqexp.build import prepare
from seqexp.trainer.settings import Settings


def test_a_deterministic_run_does_not_fill_its_buffers_before_they_are_written() -> None:
    filling, mode = torch.utils.deterministic, torch.get_deterministic_debug_mode()
    filled = filling.fill_uninitialized_memory
    try:
        prepare(Settings(num_threads=1, deterministic=True), None)
        assert torch.are_deterministic_algorithms_enabled()
        assert not filling.fill_uninitialized_memory
    finally:
        torch.set_deterministic_debug_mode(mode)
        filling.fill_uninitialized_memory = filled
