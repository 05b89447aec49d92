"""Texts as streams of characters, in memory or mapped from a file."""
