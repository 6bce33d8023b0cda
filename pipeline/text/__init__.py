"""Captions -> tokens and ids: the tokenizer, the vocabulary, free captions."""
