"""Every user's mistake: one or two lines on stderr that name it, exit status 2, nothing left behind."""

import re
import shlex
import subprocess

import pytest

from pipeline.user_folder import OURS as CONF
from tests.conftest import caviar, command, files, here

# (arguments, what the message must say)
MISTAKES = [
    ("-m --cfg job", "--cfg shows one config: leave -m out. sweep.dry_run=true shows a sweep's plan."),
    # keys, groups and choices, each with the nearest name
    (
        "optimizer.learning_rte=1",
        "optimizer.learning_rte is not in the config. Did you mean 'optimizer.learning_rate'?",
    ),
    ("learning_rate=1", "Did you mean 'optimizer.learning_rate'?"),
    ("dataset=hdf5 dataset.memroy=never", "Did you mean 'dataset.memory'?"),  # of the group's file that was chosen
    ("-m optimizer=momentum,sgd optimizer.momentm=0.5", "Did you mean 'optimizer.momentum'?"),
    ("datset=hdf5 dataset.memroy=never", "Did you mean 'dataset'?"),
    ("output_dirr={CONF}/config", "Did you mean 'output_dir'?"),  # no choice of a group, though there is config.yaml
    ("dataset=some/x", "dataset=some/x is not known. Allowed: blobs, cifar10, csv, digits,"),
    ("../x=y", "'../x=y' is not understood: write key=value, or group=choice."),
    ("dataset=hdf5", "dataset.file is not given: add dataset.file=VALUE."),
    ("dataset=csv dataset.file=garbage.db", "dataset.label is not given: add dataset.label=VALUE."),
    ("dataset=hdf5 dataset.file=" + 300 * "a", "this is too long for the name of a file: aaa"),
    ("experiment=bn_depth train.early_stopping={patience:3}", "train.early_stopping is null in what the other choices"),
    ("optimzer=adam", "Did you mean 'optimizer'?"),
    ("optimizer=adma", "Did you mean 'adam'?"),
    ("model=mpl", "Did you mean 'mlp'?"),
    ("-m sweep=rnadom", "Did you mean 'random'?"),
    ("train=foo", "train=foo is not known. Allowed: default."),
    ("optimizer._target_=keras.optimizers.Adm", "Did you mean 'Adam'?"),
    ("model.activation=rleu", "Did you mean 'relu'?"),
    ("model.norm_placement=befor_activation", "Did you mean 'before_activation'?"),
    ("sweep.metric=val_acc", "Did you mean 'val_accuracy'?"),
    ("device=cuda", "device=cuda is not known. Allowed: auto, cpu, gpu, multi_gpu, tpu."),
    # what a target does not take, with a + or without, in a sweep, of one arm
    ("+optimizer.beta1=1", "beta1 is no argument of keras.optimizers.Adam: it takes learning_rate, beta_1, "),
    ("-m +model.hidden_unit=1", "model.hidden_unit is no argument of pipeline.models.mlp.mlp: it takes hidden_units, "),
    ("-m +model.hidden_unit=1", " Did you mean 'model.hidden_units'?"),
    ("+schedule.decay=1", "schedule.decay is no argument of pipeline.training.schedules.constant: it takes no key."),
    ("-m +dataset.file=x", "dataset.file is no argument of pipeline.data.sets.digits.digits: it takes valid"),
    ("+dataset.seed=3", "dataset.seed is what the runner itself gives to pipeline.data.sets.digits.digits: leave it"),
    ("-m optimizer=adam,sgd +optimizer.amsgrad=true", "optimizer.amsgrad is no argument of keras.optimizers.SGD: it"),
    ("-m sweep.dry_run=true +optimizer.decay=1", "optimizer.decay is no argument of keras.optimizers.Adam"),
    ("~schedule.warmup_epochs schedule._target_=pipeline.training.schedules.cosine", "final_fraction is missing"),
    ("-m experiment=momentum +experiment.figure.dpi=9", "experiment.figure.dpi is no argument of pipeline.exper"),
    ("optimizer=5", "a group is chosen by the name of a file in conf/"),
    ("~dataset._target_", "dataset._target_ is missing"),
    ("optimizer.learning_rate=inf", "must be a number above 0."),
    ("foo", "'foo' is not understood: write key=value"),
    ("=", "'=' is not understood: write key=value"),
    ("-m x=y=z", "'x=y=z' is not understood. Text with brackets or signs has quotes of its own"),
    ("train={a:1}", "train.a is not in the config.\n`python run.py --cfg job` shows every key; those of train: batch"),
    ("+train.epoch=3", "train.epoch is not a key that anything reads. Did you mean 'train.epochs'? Those of train: "),
    ("-m +train.class_weight=balanced", "train.class_weight is not a key that anything reads. Those of train: "),
    ("hydra.sweep.dir=x", "hydra.sweep.dir=x does not apply: Results go where output_dir and sweep.name say."),
    # what neither Hydra nor OmegaConf expects
    ("+experiment.zz=@x", "experiment is null, so it has no keys. Choose one first: experiment=NAME."),
    ("device=[0.1]", "device=[0.1]: a group is chosen by the name of one file, device=NAME."),
    ("train=[1]", "train=[1]: a group is chosen by the name of one file, train=NAME."),
    ("-m train=[1],[2]", "train=[1]: a group is chosen by the name of one file, train=NAME."),
    ("dataset=[digits,blobs]", "a group is chosen by the name of one file, dataset=NAME."),
    ("seed=${x}", "seed: Interpolation key 'x' not found"),
    ("seed=" + 5000 * "1", "a number of 5000 digits; 1000 are the most."),
    ("model.dropout_rate=" + 900 * "1", "must be a number at least 0 and below 1."),
    ("+dataset.a=" + 400 * "[" + 400 * "]", "more than 50 brackets within each other."),
    ("output_dir=" + 400 * "${" + 400 * "}", "more than 50 brackets within each other."),
    ("model.hidden_units=[[1]]", "model.hidden_units=[[1]]: a list of values, not of lists or sections."),
    (
        "model.hidden_units={a:1}",
        "model.hidden_units must be a whole number at least 1, not a section with the key 'a'.",
    ),
    ("-m optimizer=glob(zz*)", "optimizer=glob(zz*) matches nothing"),
    # names that need quotes of their own
    (
        "dataset=csv dataset.label=C6H6(GT)",
        "quotes of its own, within those of the shell: 'dataset.label=\"C6H6(GT)\"'\n",
    ),
    ('dataset=csv dataset.drop=[a(mm),b,"c(d)"]', 'of the shell: \'dataset.drop=["a(mm)",b,"c(d)"]\'\n'),
    ("dataset=csv dataset.label=a,b", "A text with a comma: 'dataset.label=\"a,b\"'\n"),
    ("dataset=csv dataset.label=a[1]", "of the shell: 'dataset.label=\"a[1]\"'\n"),
    ("-m dataset=csv dataset.label=a(mm)", "of the shell: 'dataset.label=\"a(mm)\"'\n"),
    ("dataset=csv dataset.drop=[a,b", "'dataset.drop=[a,b' is not understood. Ranges: tag(log, interval(1e-4, 1))"),
    ("-m optimizer.learning_rate=interval(a,b)", "is not understood. Ranges: tag(log, interval(1e-4, 1))"),
    # types and limits
    ("train.epochs=abc", "train.epochs=abc must be a whole number."),
    ("train.epochs=0", "train.epochs=0 must be a whole number at least 1."),
    ("train.epochs=2.5", "train.epochs=2.5 must be a whole number."),
    ("optimizer.learning_rate=abc", "optimizer.learning_rate=abc must be a number above 0."),
    ("optimizer.learning_rate=-1", "must be a number above 0."),
    ("optimizer.beta_1=1", "must be a number at least 0 and below 1."),
    ("model.hidden_units=[64,0]", "model.hidden_units=0 must be a whole number at least 1."),
    ("model.dropout_rate=1", "must be a number at least 0 and below 1."),
    ("dataset.validation_fraction=1.5", "must be a number above 0 and below 1."),
    ("dataset.test_fraction=0.999", "leave a part with fewer than one example"),
    ("seed=-1", "seed=-1 must be a whole number at least 0"),
    ("model.head=sigmoid", "model.head=sigmoid is for 2 classes; this data set has 10. Use model.head=softmax"),
    ("model.head=[softmax]", "model.head=['softmax'] is not known. Allowed: softmax, sigmoid, cost."),
    ("model=quadratic sweep.metric=val_accuracy", "with model.head=cost there is none. Use sweep.metric=val_loss"),
    ("-m model=quadratic sweep.metric=val_accuracy", "with model.head=cost there is none. Use sweep.metric=val_loss"),
    (
        "-m model=mlp,quadratic",
        "arms aim at different metrics (val_accuracy with model=mlp, val_loss with",
    ),
    ("sweep.metric=val_loss sweep.direction=maximize", "sweep.direction=maximize: val_loss is to be minimized. Leave"),
    ("experiment=quadratic dataset=digits", "model=quadratic needs examples (a, b, c)"),
    ("experiment=quadratic dataset.coefficients=[0,1,2]", "must be three numbers [a, b, c] with a above 0"),
    ("experiment=quadratic model.head=softmax", "model.head=softmax is for 2 or more classes; this data set has 0."),
    ("dataset=blobs dataset.n_classes=2 model.head=cost sweep.metric=val_accuracy", "there is none"),
    # things that belong to a sweep
    ("sweep=random", "python run.py -m sweep=random"),
    ("sweep.n_trials=3", "python run.py -m sweep.n_trials=3"),
    ("optimizer.learning_rate=interval(0.1,1)", "Add -m"),
    ("optimizer=sgd,adam", "Add -m"),
    # impossible ranges
    ("-m optimizer.learning_rate=tag(log,interval(0,1))", "low=0.0 must be above 0 on the scale log."),
    ("-m optimizer.learning_rate=tag(log,interval(1,0.1))", "low=1.0 is above high=0.1."),
    ("-m optimizer.beta_1=tag(one_minus_log,interval(0.9,1))", "high=1.0 must be below 1 on the scale one_minus_log."),
    ("-m optimizer.beta_1=interval(0.9,1)", "optimizer.beta_1=1.0 must be a number at least 0 and below 1."),
    ("-m optimizer.learning_rate=tag(lgo,interval(0.1,1))", "Did you mean 'log'?"),
    ("-m optimizer.learning_rate=tag(log,interval(0.1,1)", "is not understood"),
    ("-m optimizer.learning_rat=interval(0.1,1)", "Did you mean 'optimizer.learning_rate'?"),
    ("-m model.hidden_units=interval(10,20)", "Write int(interval(low, high))."),
    ("-m optimizer=choice(sgd,adam)", "compare its choices as arms, optimizer=a,b"),
    ("-m optimizer=sgd,adma", "Did you mean 'adam'?"),
    ("-m model.head=softmax,sigmoid", "model.head=sigmoid is for 2 classes"),
    # the sweep itself
    ("-m sweep.n_trials=0", "sweep.n_trials=0 must be a whole number at least 1 and at most 100000"),
    ("-m sweep.n_trials=null", "random search needs the number of trials"),
    ("-m sweep.n_trials=3,4", "sweep sets up the sweep and can't be searched."),
    ("-m sweep=coarse_to_fine sweep.n_trials=2", "It must be at least 3."),
    ("-m sweep=grid sweep.n_trials=5", "sweep=grid has 100 trials"),
    ("-m sweep.name=../x", "names a folder"),
    ("-m sweep.strategy=grid", "sweep.strategy is not in the config.\nA file of conf/sweep says how a sweep draws: "),
    ("-m +sweep.strategy=grid", "sweep=grid, sweep=random."),
    ("-m sweep.sampler._target_=pipeline.search.samplers.grid.Gird", "has no callable 'Gird'. Did you mean 'Grid'?"),
    ("-m sweep.sampler._target_=pipeline.search.samplers.sampler.Point", "does not take this config"),
    ("-m sweep.sampler._target_=os.system", "sweep.sampler._target_=os.system is not allowed"),
    ("-m ~sweep.sampler._target_", "sweep.sampler._target_ is missing: a sweep file names its sampler"),
    ("-m sweep=grid +sweep.sampler.size=3", "got an unexpected keyword argument 'size'"),
    ("-m +scales.sqrt=os.path.SQRT", "scales.sqrt=os.path.SQRT is not allowed: it must begin with one of"),
    (
        "-m optimizer.learning_rate=tag(sqrt,interval(0.1,1))",
        "scale=sqrt is not known. Allowed: linear, log, one_minus",
    ),
    ("-m scales.log=a,b", "scales sets up the sweep and can't be searched."),
    ("-m hydra/launcher=foo", "Could not find 'hydra/launcher/foo'"),
    # device, store, resume, code
    ("device=gpu", "there is no GPU on this machine. Available: cpu."),
    ("device=multi_gpu", "needs 2 GPUs or more; this machine has none. Available: cpu."),
    ("device=tpu", "device=tpu: there is no TPU on this machine. Available: cpu."),
    ("-m device=tpu", "device=tpu: there is no TPU on this machine. Available: cpu."),
    ("device.visible=[1]", "device.visible=[1]: there is no GPU 1 here. Available: cpu."),
    ("device.visible=[]", "device.visible=[] must be"),
    ("device=cpu device.visible=[0]", "device.visible=[0] chooses GPUs, and device=cpu uses none."),
    ("tracking.uri=sqlite:///no/such/folder/mlflow.db", "there is no folder no/such/folder"),
    ("tracking.uri=sqlite:///garbage.db", "garbage.db is not a SQLite database"),
    ("tracking.uri=http://127.0.0.1:9", "no tracking server answers there"),
    ("tracking.uri=foo", "tracking.uri=foo is not a tracking store."),
    ("-m tracking.uri=sqlite:///garbage.db", "garbage.db is not a SQLite database"),
    ("resume=nowhere", "resume=nowhere: no run was started there."),
    ("output_dir=garbage.db", "garbage.db"),
    ("optimizer._target_=os.system", "optimizer._target_=os.system is not allowed"),
    ("dataset._target_=joblib.load", "dataset._target_=joblib.load is not allowed"),
]


# Of each way that a mistake takes to the terminal, one goes it whole; the others in this process, by the same code.
PROCESSES = {
    "optimizer.learning_rte=1",  # Hydra's complaint, explained
    "foo",  # of its parser
    "-m sweep=rnadom",
    "train.epochs=0",  # what the runner finds itself
    "-m sweep.n_trials=null",
    "model.head=sigmoid",  # what a worker finds
    "-m --cfg job",  # Hydra's own flags
    "-m tracking.uri=sqlite:///garbage.db",
}


def test_each_of_those_is_a_mistake():
    assert {line for line, _ in MISTAKES} >= PROCESSES


@pytest.mark.parametrize(("line", "message"), MISTAKES, ids=[line[:60] for line, _ in MISTAKES])
def test_a_mistake_gets_a_line_that_helps(line, message, tmp_path):
    (tmp_path / "garbage.db").write_bytes(b"not a database " * 99)
    words = line.replace("{CONF}", str(CONF)).split(" ")
    result = caviar(*words, cwd=tmp_path) if line in PROCESSES else here(*words, "executor=inline", cwd=tmp_path)
    assert result.returncode == 2, result.stdout + result.stderr
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2
    assert "Traceback" not in result.stderr
    # What a sweep is may have been said, and the data may have been fine.
    assert re.fullmatch("(composing the sweep\n|(sweep|space|data|averages): .+\n)*", result.stdout)
    # The store may have been made meanwhile: empty, but whole. The garbage is as it was.
    left = [name for name in files(tmp_path) if not re.fullmatch(r"outputs/mlflow\.(db|new|lock).*", name)]
    assert left == ["garbage.db"]
    assert (tmp_path / "garbage.db").read_bytes() == b"not a database " * 99


@pytest.mark.parametrize("encoding", ["ascii", "latin-1:strict"])
def test_help_is_shown_on_any_terminal_and_to_a_reader_that_goes(encoding, tmp_path):
    line = f"PYTHONIOENCODING={encoding} {shlex.join(command('--help'))}"
    whole = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True)
    assert (whole.returncode, whole.stderr) == (0, b"")
    assert b"int(interval(\\u2026)) whole numbers" in whole.stdout
    begin = subprocess.run(f"{line} | head -1", shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert (begin.stdout.count("\n"), begin.stderr) == (1, "")


def test_showing_the_config_writes_nothing(tmp_path):
    result = caviar("--cfg", "job", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout
    assert files(tmp_path) == []


def test_help_explains_groups_keys_and_commands(tmp_path):
    result = caviar("--help", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert files(tmp_path) == []
    text = result.stdout
    groups = [
        "dataset",
        "device",
        "executor",
        "experiment",
        "model",
        "optimizer",
        "schedule",
        "sweep",
        "tracking",
        "train",
    ]
    assert re.findall(r"^([a-z]+): ", text, re.MULTILINE) == groups
    commands = re.findall(r"^(python run.py.*?)(?:  |$)", text, re.MULTILINE)
    assert len(commands) == 5
    for name in ("train.early_stopping", "n_trials (in total)", "one_minus_log", "executor.workers"):
        assert name in text


def test_the_dry_run_shows_arms_stages_and_ranges(tmp_path):
    line = "-m sweep=coarse_to_fine optimizer=sgd,adam sweep.dry_run=true train.batch_size=64"
    result = here(*line.split(), "executor=inline", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert files(tmp_path) == []
    text = result.stdout
    assert "stage coarse: 12 trials of up to 5 epochs" in text
    assert "stage fine: 12 trials of up to 20 epochs" in text
    assert "arm optimizer=sgd:" in text
    assert "optimizer.learning_rate  tag(log, interval(0.001, 1))" in text
    assert "train.batch_size" not in text
    # 420 of the stages, 45 of the replicates that say whether a stage is worth it
    assert re.search(r"^465 epochs in all, 2 arms, \d+ workers?$", text, re.MULTILINE)
    assert re.search(r"^forecast: up to (\d+ min )?\d+ s, \d+\.\d GiB$", text, re.MULTILINE)
    cohorts = re.findall(r"^  (\d+) trials, \d+ to \d+: (?:fused|one by one)", text, re.MULTILINE)
    assert cohorts == ["6", "6"]  # of the first stage, one for each optimizer


def test_a_sweep_file_of_an_earlier_version_is_told_what_to_write(tmp_path):
    (tmp_path / "sweep").mkdir()
    text = (CONF / "sweep/random.yaml").read_text()
    (tmp_path / "sweep/mine.yaml").write_text(re.sub("^sampler: .*$", "strategy: random", text, flags=re.M))
    result = here("-m", f"--config-dir={tmp_path}", "sweep=mine", "executor=inline", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("sweep.strategy is not in the config.\nA file of conf/sweep says how")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-m sweep.n_trials=0", True),
        ("sweep.n_trials=0 --multirun", True),
        ("sweep.n_trials=0", False),
        ("-m --help", False),
    ],
)
def test_a_sweep_says_at_once_that_it_is_composed(line, said, tmp_path):
    assert here(*line.split(), cwd=tmp_path).stdout.startswith("composing the sweep\n") == said
