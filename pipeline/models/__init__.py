"""Architectures: one file a model, each a function from inputs to what its head needs, mostly logits."""
