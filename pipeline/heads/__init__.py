"""Heads, one file each: what a model's outputs and the data's targets mean. metric.py and metrics.py: what is recorded.

conf/config.yaml maps their names to these files; lookup makes the head of a config. The parent process asks heads and
metrics, too, so all of them import TensorFlow and Keras in functions only.
"""
