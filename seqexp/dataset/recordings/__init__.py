"""Sequences of frames, each of real numbers."""
