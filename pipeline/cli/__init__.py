"""The commands of `python -m pipeline`: one file a command, found by its name; what they share is in the subpackages.

A command's file has a docstring, whose first line is its help, `arguments(parser)`, and `run(options)`, which
returns the exit status. It imports TensorFlow, if at all, in functions: `--help` imports every command.
"""
