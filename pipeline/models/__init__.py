"""Architectures: one file a model, each a function from normalised inputs to logits."""
