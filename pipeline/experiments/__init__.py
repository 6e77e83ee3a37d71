"""What the course says of tuning, shown: one file an experiment, each a function that draws a finished sweep.

`python run.py -m experiment=NAME` trains what conf/experiment/NAME.yaml says and hands the trials to
`figure(results) -> (figure, finding)`: a matplotlib figure, and a sentence with the measured number.
"""
