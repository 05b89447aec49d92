"""Counting n-grams: which there are, tables with a row for each, and a solver of linear models."""
