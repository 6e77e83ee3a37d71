"""Kinds of files: one module each, which every command reads them with."""
