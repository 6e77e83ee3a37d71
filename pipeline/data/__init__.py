"""Data sets: one file a source, each a function that returns Splits; input_pipeline turns them into tf.data."""
