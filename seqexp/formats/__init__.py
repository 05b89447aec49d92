"""Readers of files, one a format: for datasets, `predict` and motif databases alike."""
