"""Labelled examples for rare labels, written by a language model on a server that the user names."""
