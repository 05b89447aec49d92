"""Pairs of a source and a target: files, symbols, splits, token ids."""
