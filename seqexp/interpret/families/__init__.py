"""Motif families: filters that read the same motif as one, with all its sites."""
