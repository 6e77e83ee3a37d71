"""Rows that stay in their file because they are larger than the memory."""
