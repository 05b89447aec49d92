"""Kinds of prediction: their losses, scores and predictions."""
