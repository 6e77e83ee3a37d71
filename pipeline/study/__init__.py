"""What is run together, a sweep or one trial: from its plan to its result."""
