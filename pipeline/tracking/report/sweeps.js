// The sweeps of the page, from the short JSON that was made of them: best trial first.

const DATA = JSON.parse(document.getElementById('data').textContent);

function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

function readSweep(raw, place) {
  const {trials: columns, curves} = raw, at = unpacked(columns.at), values = unpacked(curves.values);
  const n = columns.number.length, k = raw.axes.length, m = raw.metrics.length;
  let start = 0;
  const trials = columns.number.map((number, i) => {
    const trial = {
      i, number, place, status: columns.status[i], stage: columns.stage[i], arm: columns.arm[i], reason: columns.reason[i],
      bestEpoch: columns.best_epoch[i], epochs: columns.epochs[i], seconds: columns.seconds[i], begun: columns.begun[i],
      ended: columns.ended[i], parameters: columns.parameters[i], cohort: columns.cohort[i], rungs: columns.rungs[i],
      params: raw.axes.map((_, a) => columns.params[a][i]),
      at: at.subarray(i * k, i * k + k),
      metrics: raw.metrics.map((_, j) => columns.metrics[j][i]),
      points: [], curves: [],
    };
    trial.score = trial.metrics[0];
    trial.share = n > 1 ? 1 - i / (n - 1) : 1; // 1: the best
    const epochs = curves.epochs[i];
    if (epochs !== undefined) {
      trial.points = typeof epochs === 'number' ? Array.from({length: epochs}, (_, e) => e + 1) : epochs;
      const length = trial.points.length;
      for (let j = 0; j < m; j++) trial.curves.push(values.subarray(start + j * length, start + (j + 1) * length));
      start += m * length;
    }
    return trial;
  });
  const sweep = {...raw, place, trials, shown: curves.shown};
  sweep.byNumber = new Map(trials.map(trial => [trial.number, trial]));
  raw.replicated.forEach(row => { sweep.byNumber.get(row.number).seeds = row; });
  // Replicates are fits of their trials: shown as they are, and left out of the brush with them.
  const {replicates: r} = raw;
  const replicates = r.number.map((number, i) => Object.assign(Object.create(sweep.byNumber.get(r.of[i])), {
    number, of: sweep.byNumber.get(r.of[i]), status: r.status[i], epochs: r.epochs[i], seconds: r.seconds[i], begun: r.begun[i], ended: r.ended[i],
    parameters: r.parameters[i], cohort: r.cohort[i],
  }));
  sweep.fits = [...trials, ...replicates]; // all that was trained
  sweep.epochs = sweep.fits.reduce((sum, fit) => sum + fit.epochs, 0);
  sweep.wall = Math.max(0, ...sweep.fits.map(fit => fit.ended || 0)); // seconds
  sweep.best = raw.winner ? sweep.byNumber.get(raw.winner.number) : null;
  sweep.severalArms = raw.arms.length > 1;
  sweep.severalStages = raw.stages.length > 1;
  sweep.statuses = [...new Set(trials.map(trial => trial.status))];
  return sweep;
}

const SWEEPS = DATA.sweeps.map(readSweep);

// A parameter's value as text: a weight of the past needs the digits of its distance from 1.
function value(axis, raw) {
  if (raw === null || raw === undefined) return '–';
  return num(raw, axis.scale === 'one_minus_log' ? 6 : 4);
}
// What else a value says: over how many steps a weight of the past averages.
function windowOf(axis, raw) {
  return axis.scale === 'one_minus_log' && typeof raw === 'number' && raw < 1 ? `averages ${num(1 / (1 - raw), 3)} steps` : '';
}
const SCALES = {log: 'log scale', one_minus_log: 'log of 1 − value', linear: '', choice: ''};
const scaleText = axis => axis.scale in SCALES ? SCALES[axis.scale] : `scale ${axis.scale}`;
const share = (axis, at) => (at - axis.low) / (axis.high - axis.low);
// Axes on which there is something to see.
const varied = sweep => sweep.axes.map((axis, a) => a).filter(a => {
  let first = null;
  for (const {at} of sweep.trials) {
    if (Number.isNaN(at[a])) continue;
    if (first === null) first = at[a];
    else if (at[a] !== first) return true;
  }
  return false;
});
