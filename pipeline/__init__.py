"""Caviar: declarative hyperparameter tuning. This page is the map.

One way of data: YAML (conf/) -> composed config -> trials -> worker: splits -> tf.data -> model -> steps -> events ->
recorder -> MLflow, with state.h5 and model.h5 on the way.

entry, explain, errors    the command line's edge: exit statuses, and mistakes in one line
config, limits            the typed schema of what the runner reads; what each value may be
targets, objective        calling what a `_target_` names; what "better" means
keras_import              what every process that trains or predicts does first
memory, cache             how much memory there is; what is remembered of this machine and its files
data/                     one file a data set, each a function that returns Splits, from arrays or parts; stored reads
                          rows of a file (chunks beside HDF5, buffers are memory used again), in the order of windows;
                          probe opens files of strangers; input_pipeline makes tf.data; converted writes HDF5
models/                   one file an architecture, each from normalised inputs to logits; heads says what outputs mean
training/                 the epoch loop, schedules, state.h5; trial is a worker's config reader; solo trains one model,
                          distributed on several devices, cohort and modes say which trials fuse and how, by
                          measurements; stacking, stacked, feed, program, updates, layer_calls, fused;
                          diagnostics measures layers
sweep/                    spaces and scales, ranges, stages, the plan, cohorts, halving, the forecast, the ledger, the
                          study, the Hydra sweeper
experiments/              the course's claims, each a function that draws a finished sweep
launch/                   folders, devices, executors, the worker process, `python run.py`
tracking/                 the terminal, the MLflow recorder, the compare page, the leaderboard, pictures
saving, hdf5, jsonl       files that are whole or absent
evaluation, cli/          using a saved model: `python -m pipeline COMMAND`
plugins/                  the shim by which Hydra finds the sweeper

Two processes: the parent (Hydra, MLflow) never imports TensorFlow; workers never import MLflow.
"""
