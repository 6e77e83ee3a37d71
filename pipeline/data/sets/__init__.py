"""Data sets by name: one file each, a function that returns Splits."""
