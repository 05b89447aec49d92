"""Process plumbing that knows nothing of sequences."""
