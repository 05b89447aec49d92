"""What each letter, word or number of a sequence adds to a prediction, by several methods."""
