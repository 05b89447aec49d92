"""A package beside seqexp: one dataset, one model."""
