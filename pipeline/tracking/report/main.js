// Puts the page together.

const SECTIONS = [winnerSection, curvesSection, scatterSection, parallelSection, tableSection, importanceSection, replicatesSection, stagesSection, lineageSection, armsSection,
  progressSection, costSection, rungsSection, failuresSection, spaceSection, dataSection];
let THEMED = []; // what draws anew when light turns to dark

const main = document.getElementById('main'), tray = document.getElementById('tray');
const several = SWEEPS.length > 1;

function setTheme(choice) {
  const dark = choice === 'dark' || (choice === 'auto' && matchMedia('(prefers-color-scheme: dark)').matches);
  root.dataset.theme = dark ? 'dark' : 'light';
  known = {};
  THEMED.forEach(show => show());
  PLOTS.forEach(p => p.schedule());
}
let theme = 'auto';
try { theme = localStorage.getItem('caviar-theme') || 'auto'; } catch { /* a page from a file may have no storage */ }

function header() {
  const title = several ? `${SWEEPS.length} sweeps` : SWEEPS[0].name;
  const counts = sweep => {
    const n = {};
    sweep.trials.forEach(trial => { n[trial.status] = (n[trial.status] || 0) + 1; });
    return `${plural(sweep.trials.length, 'trial')}: ${Object.entries(n).map(([status, k]) => `${k.toLocaleString('en')} ${status}`).join(', ')}`;
  };
  document.getElementById('head').replaceChildren(
    h('div', {class: 'titles'}, h('h1', {}, several ? title : `Sweep ${title}`),
      h('div', {class: 'soft'}, several ? SWEEPS.map(sweep => sweep.name).join(', ') : counts(SWEEPS[0]))),
    h('div', {class: 'controls'}, choices('Colors of the page', [['auto', 'auto'], ['light', 'light'], ['dark', 'dark']], theme, choice => {
      theme = choice;
      try { localStorage.setItem('caviar-theme', choice); } catch { /* as above */ }
      setTheme(choice);
    })));
}

function build(sweep) {
  selection.listeners.length = selection.brushListeners.length = PLOTS.length = 0;
  selection.ranges.clear();
  SWEEPS.forEach(s => s.trials.forEach(trial => { trial.out = false; }));
  selection.hover = selection.pinned = null;
  THEMED = [];
  const parts = [];
  if (several) {
    parts.push(compareSection(), h('div', {class: 'card', id: 'which'}, h('div', {class: 'controls'}, h('b', {}, 'In detail:'),
      select('sweep', SWEEPS.map(s => [s.place, s.name]), sweep.place, place => { build(SWEEPS[place]); document.querySelector('#which select').focus(); }))));
  }
  parts.push(...SECTIONS.map(make => make(sweep)).filter(Boolean));
  main.replaceChildren(...parts);
  document.getElementById('contents').replaceChildren(h('ul', {}, [...main.querySelectorAll('section')].map(part =>
    h('li', {}, h('a', {href: `#${part.id}`}, part.dataset.short)))));
  PLOTS.forEach(p => p.layout());
  selection.listeners.push(() => PLOTS.forEach(p => p.over()), showTray);
  selection.brushListeners.push(() => PLOTS.forEach(p => p.repaint()));
  showTray(null);
}

function showTray(trial) {
  tray.hidden = !trial;
  if (!trial) return;
  const sweep = SWEEPS[trial.place];
  const params = sweep.axes.map((axis, a) => trial.params[a] === null ? null
    : h('span', {class: 'p'}, `${axis.name} `, h('b', {}, value(axis, trial.params[a])), axis.scale === 'one_minus_log' ? ` (${windowOf(axis, trial.params[a])})` : ''));
  const pinned = selection.pinned === trial;
  tray.replaceChildren(h('div', {class: 'text'},
    h('b', {}, `${several ? `${sweep.name}, ` : ''}trial ${trial.number}`), ` ${ordinal(trial.i + 1)} of ${sweep.trials.length}, `,
    h('b', {}, `${sweep.metric} ${metric(trial.score)}`), trial.bestEpoch ? ` in epoch ${trial.bestEpoch} of ${trial.epochs}` : '',
    `, ${trial.status}${trial.reason ? ` (${trial.reason})` : ''}`, params),
  ...(pinned ? [h('button', {type: 'button', onclick: unpin, 'aria-label': 'Let go of the trial'}, '✕')] : []));
}

setTheme(theme);
header();
build(SWEEPS[0]);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { if (theme === 'auto') setTheme('auto'); });
addEventListener('keydown', event => { if (event.key === 'Escape') unpin(); });
// Paper is light and narrow, whatever the screen is.
addEventListener('beforeprint', () => {
  root.dataset.print = '';
  setTheme('light');
  PLOTS.forEach(p => p.layout());
});
addEventListener('afterprint', () => {
  delete root.dataset.print;
  setTheme(theme);
  PLOTS.forEach(p => p.layout());
});
requestAnimationFrame(() => setTimeout(() => {
  performance.mark('ready');
  root.dataset.ready = Math.round(performance.now());
}, 0));
