"""What motifs add to a model's output, put into sequences that have none."""
