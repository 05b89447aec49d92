"""sweeper=optuna: a search for good values."""
