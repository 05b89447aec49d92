"""Texts as words: documents, tokens, vocabularies, vectors."""
