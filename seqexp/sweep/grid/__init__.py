"""sweeper=grid: every combination of the given values."""
