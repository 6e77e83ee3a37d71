"""What chooses the points of a space that a sweep tries: one file a sampler, chosen by `sweep.sampler`."""
