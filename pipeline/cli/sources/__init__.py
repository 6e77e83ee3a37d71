"""What MODEL and INPUT on the command line stand for: a classifier, and examples for it."""
