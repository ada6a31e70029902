"""Encoders, pooling, heads, losses and the classifier made of them (torch)."""
