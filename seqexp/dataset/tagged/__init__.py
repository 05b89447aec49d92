"""Sequences of tokens with a label each."""
