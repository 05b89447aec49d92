"""Erroneous reads of DNA: files, a channel, views."""
