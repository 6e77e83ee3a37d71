// What is highlighted and brushed: all charts and the table show the same.

const selection = {
  hover: null, // under the pointer or the keyboard's focus
  pinned: null,
  ranges: new Map(), // place of an axis -> [low, high], shares of the axis; -1: the metric
  listeners: [],
  brushListeners: [],
};
const current = () => selection.hover || selection.pinned;

function highlight(trial) {
  if (selection.hover === trial) return;
  selection.hover = trial;
  changed();
}
function pin(trial) {
  selection.pinned = selection.pinned === trial ? null : trial;
  selection.hover = null;
  changed();
}
function unpin() {
  selection.pinned = selection.hover = null;
  changed();
}
let waiting = false, waitingBrush = false;
function changed() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    selection.listeners.forEach(listener => listener(current()));
  });
}

function brush(axis, range) {
  if (range) selection.ranges.set(axis, range);
  else selection.ranges.delete(axis);
  brushed();
}
function clearBrush() {
  selection.ranges.clear();
  brushed();
}
function brushed() {
  if (waitingBrush) return;
  waitingBrush = true;
  requestAnimationFrame(() => {
    waitingBrush = false;
    SWEEPS.forEach(sweep => sweep.trials.forEach(trial => { trial.out = !fits(trial); }));
    selection.brushListeners.forEach(listener => listener());
  });
}
const isBrushed = () => selection.ranges.size > 0;

const inside = trial => !trial.out;

// Whether a trial is in every brushed range.
function fits(trial) {
  for (const [a, [low, high]] of selection.ranges) {
    const u = placeOf(trial, a);
    if (!(u >= low && u <= high)) return false;
  }
  return true;
}
// Where on an axis of the parallel coordinates a trial is, from 0 to 1; -1 is the metric's axis.
function placeOf(trial, a) {
  const sweep = SWEEPS[trial.place];
  return a < 0 ? scoreShare(sweep, trial.score) : share(sweep.axes[a], trial.at[a]);
}

// Keys that move through trials from best to worst.
function moveBy(event, trials) {
  const steps = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity};
  if (event.key === 'Escape') { unpin(); return; }
  if (event.key === 'Enter' || event.key === ' ') {
    if (current()) { event.preventDefault(); pin(current()); }
    return;
  }
  if (!(event.key in steps) || event.altKey || event.ctrlKey || event.metaKey || !trials.length) return;
  event.preventDefault();
  const at = trials.indexOf(current());
  const to = at < 0 ? 0 : Math.min(Math.max(at + steps[event.key], 0), trials.length - 1);
  highlight(trials[to]);
}

// In words, for the tray and for those who can't see the charts.
function inWords(trial) {
  const sweep = SWEEPS[trial.place];
  const params = sweep.axes.map((axis, a) => trial.params[a] === null ? '' : `${axis.name} ${value(axis, trial.params[a])}`);
  return [`trial ${trial.number}`, `${ordinal(trial.i + 1)} of ${sweep.trials.length}`, `${sweep.metric} ${metric(trial.score)}`, trial.status,
    ...params.filter(Boolean)].join(', ');
}
