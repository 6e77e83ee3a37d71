"""Searching: spaces and their scales, stages, the ledger, the study that asks and tells. No TensorFlow here."""
