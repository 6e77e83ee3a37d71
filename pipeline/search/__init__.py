"""Spaces and their scales, and which points of them a sweep tries. No input or output here."""
