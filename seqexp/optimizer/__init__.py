"""Optimizers and schedules of our own, beside those of `torch.optim`."""
