"""Splits and shuffles of DNA sequences."""
