"""Caviar: declarative hyperparameter tuning. This page is the map.

One line, walked once: Config -> Plan -> Job -> Event. YAML (conf/) becomes a Config, configs and ranges a Plan, the
trials of a plan the Jobs of workers, and what workers report are Events, of which the subscribers of a study are told:
the ledger, the display, the tracking store. `python run.py` is a plan with one trial.

entry, explain, errors    the command line's edge: exit statuses, and mistakes in one line; command_line is what
                          run.py and `python -m pipeline` share
schema                    the frozen dataclasses of a config; typed makes dataclasses of plain values
config, building          Hydra in, Config out; hydra_schema is the schema as Hydra takes it; user_folder adds a conf/
hydra_loading, yaml_text  what Hydra is let load: none of its own settings changed, no YAML that never ends
checks, limits            what is asked of a config; what each value may be
records, events           trials, jobs and messages; what becomes of a trial; eventlog reads events.jsonl
evolution                 what makes a population of trials: who copied whom
secret                    what comes from the environment, and is not shown
compatibility             what earlier versions wrote
clock                     when the command began, from which a sweep's budget counts
targets, signatures       calling what a `_target_` names; what it takes, from its source
objective                 what "better" means
search/                   spaces and scales, ranges, samplers, refining, halving, populations, the plan (planning), what
                          is unwise in it (linter): no input or output
study/                    start walks the line; study, ledger, cohorts, forecast, results and what to doubt of them
                          (cautions), how much each hyperparameter mattered (importance), the Hydra sweeper; repeating
                          trains a trial again to the bit, replicates with other seeds; staging and deciding say where
                          the next stage looks and whether it is worth it, rungs who goes on, budget what there is time
                          for, parameters which models are too large, transfer what another sweep has to offer and
                          transferred how it fared; standing and arms say what may be chance; reporting/ reads a
                          sweep's folder for its report
workers/                  executors (local, inline), the worker process, which device each worker gets, why one died
tracking/                 subscribers: the terminal (live, by the pace of a sweep), MLflow; what earlier starts left in
                          the store; the leaderboard, pictures; report/ is the page of a sweep
training/                 the epoch loop and its callbacks, schedules, state.h5; trial is a worker's view of one; solo
                          trains one model, distributed on several devices; cohort, grouping and modes say which trials
                          fuse, trainers makes what trains them; fused/ is one computation, population/ one whose trials
                          copy each other; diagnostics/ measures layers
data/                     splits; formats/ reads kinds of files, sets/ are data sets by name, stream/ reads rows that
                          stay in their file; input_pipeline makes tf.data
models/                   one file an architecture, each from normalised inputs to logits
heads/                    one file a head: what outputs and targets mean, the loss, the metrics and their sums
experiments/              the course's claims, each a function that draws a finished sweep
cli/                      using a saved model and looking at data: `python -m pipeline COMMAND`
saving, hdf5, jsonl       files that are whole or absent; crash: files that end the process that reads them
hdf5_contents             what lies in an HDF5 file, read in bounded memory, and in no other file
keras_import              what every process that trains or predicts does first
layout                    lines and tables for a terminal's width, broken between words
memory, cache             how much memory there is; what is remembered of this machine and its files
plugins/                  the shim by which Hydra finds the sweeper

Two processes: the parent (Hydra, MLflow) never imports TensorFlow and opens no data; workers never import MLflow.
"""
