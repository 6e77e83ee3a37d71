"""How long Caviar takes beside its peers: `python -m tests.benchmarks NAME...` or `make bench`.

The contests:                sweeps (whole sweeps), epochs (one trial)
Reports without a peer:      cohorts, modes, streaming, rounding, recording, scale (what the parent takes a trial)
Ways to search, replayed:    samplers and claims, on curves (tables that a sweep has trained)
What runs them:              stopwatch (processes, timed in turn), readings (what they left behind, and the table)
The peers, each a script:    optuna_sweep, keras_tuner_sweep, hydra_sweep, keras_epochs, keras_single
What the peers share:        peer (arguments and results), recipe (Keras and MLflow), random_data
"""
