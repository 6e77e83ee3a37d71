// All trials as a table: sorted by any column, filtered by the brush, linked with the charts.

const FIRST_ROWS = 50;

function tableSection(sweep) {
  const {trials} = sweep;
  const columns = [
    {name: 'trial', of: t => t.number, show: t => String(t.number), number: true},
    {name: 'rank', of: t => t.i, show: t => String(t.i + 1), number: true},
    {name: sweep.metric, of: t => t.score, show: t => metric(t.score), number: true},
    ...(sweep.replicated.length ? [['mean', t => metric(t.seeds.mean)], ['sd', t => metric(t.seeds.sd)], ['seeds', t => String(t.seeds.seeds)]] : []).map(([name, show]) =>
      ({name, title: 'with other seeds', of: t => t.seeds && t.seeds[name], show: t => t.seeds ? show(t) : '–', number: true})),
    {name: 'status', of: t => t.status, show: t => t.status},
  ];
  if (sweep.severalStages) columns.push({name: 'stage', of: t => sweep.stages.findIndex(s => s.name === t.stage), show: t => t.stage});
  sweep.axes.forEach((axis, a) => columns.push({
    name: axis.name, title: axis.key, number: axis.scale !== 'choice' || axis.choices.every(text => !Number.isNaN(Number(text))),
    of: t => Number.isNaN(t.at[a]) ? null : t.at[a], show: t => value(axis, t.params[a]),
    hint: t => [t.params[a], windowOf(axis, t.params[a])].filter(v => v !== null && v !== '').join(', '),
  }));
  const measured = sweep.metrics.map((name, m) => ({name, of: t => t.metrics[m], show: t => metric(t.metrics[m]), number: true}))
    .filter(({of}, m) => m && trials.some(t => of(t) !== null));
  const ofValidation = ({name}) => name.startsWith('val_');
  columns.push(...measured.filter(ofValidation));
  columns.push({name: 'best epoch', of: t => t.bestEpoch, show: t => t.bestEpoch ? String(t.bestEpoch) : '–', number: true});
  columns.push({name: 'epochs', of: t => t.epochs, show: t => String(t.epochs), number: true});
  columns.push({name: 'seconds', of: t => t.seconds, show: t => num(t.seconds, 3), number: true});
  columns.push(...measured.filter(column => !ofValidation(column))); // which are the first to have no room
  if (trials.some(t => t.reason)) columns.push({name: 'reason', of: t => t.reason, show: t => t.reason || '', text: true});

  const state = {by: 1, down: false, all: false};
  const rows = new Map();
  const body = h('tbody'), told = h('span', {class: 'soft', role: 'status'});
  const heads = columns.map((column, c) => h('th', {scope: 'col', class: column.number ? 'n' : null, title: column.title},
    h('button', {type: 'button', onclick: () => {
      state.down = state.by === c ? !state.down : false;
      state.by = c;
      show();
    }}, column.name)));
  const more = h('button', {type: 'button', onclick: () => { state.all = !state.all; show(); }});

  const row = trial => {
    if (!rows.has(trial)) {
      rows.set(trial, h('tr', {tabindex: -1},
        columns.map((column, c) => h(c ? 'td' : 'th', {class: column.text ? 'text' : column.number ? 'n' : null, scope: c ? null : 'row',
          title: column.hint ? column.hint(trial) : column.text ? column.show(trial) : null}, column.show(trial)))));
      const element = rows.get(trial);
      element.addEventListener('pointerenter', () => highlight(trial));
      element.addEventListener('pointerleave', () => highlight(null));
      element.addEventListener('focus', () => highlight(trial));
      element.addEventListener('blur', () => highlight(null));
      element.addEventListener('click', () => pin(trial));
    }
    return rows.get(trial);
  };
  let shown = [];
  function show() {
    const {of} = columns[state.by], sign = state.down ? -1 : 1;
    const compare = (a, b) => typeof a === 'string' ? a.localeCompare(b) : a - b;
    const list = trials.filter(inside).sort((one, other) => {
      const [a, b] = [of(one), of(other)];
      const [noA, noB] = [a === null || a === undefined, b === null || b === undefined];
      if (noA || noB) return noA - noB || one.i - other.i; // what is not known comes last, either way
      return sign * compare(a, b) || one.i - other.i;
    });
    shown = state.all ? list : list.slice(0, FIRST_ROWS);
    body.replaceChildren(...shown.map(row));
    const tabbed = shown.find(trial => row(trial).tabIndex === 0);
    if (!tabbed && shown.length) row(shown[0]).tabIndex = 0;
    heads.forEach((head, c) => {
      head.setAttribute('aria-sort', c !== state.by ? 'none' : state.down ? 'descending' : 'ascending');
      head.firstChild.replaceChildren(...breakable(columns[c].name), c !== state.by ? '' : state.down ? '\u00a0▼' : '\u00a0▲');
    });
    more.hidden = list.length <= FIRST_ROWS;
    more.textContent = state.all ? `Show the first ${FIRST_ROWS}` : `Show all ${list.length.toLocaleString('en')}`;
    told.textContent = `${shown.length.toLocaleString('en')} of ${plural(trials.length, 'trial')}${isBrushed() ? ', those in the brush' : ''}`;
    mark(current());
  }
  function mark(trial) {
    for (const element of body.children) element.classList.remove('on', 'pinned');
    if (trial && rows.has(trial)) rows.get(trial).classList.add('on');
    if (selection.pinned && rows.has(selection.pinned)) rows.get(selection.pinned).classList.add('pinned');
  }
  body.addEventListener('keydown', event => {
    const at = shown.findIndex(trial => row(trial) === document.activeElement);
    if (at < 0) return;
    const to = {ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: shown.length - 1, PageDown: at + 10, PageUp: at - 10}[event.key];
    if (to !== undefined) {
      event.preventDefault();
      row(shown[at]).tabIndex = -1;
      const next = row(shown[clamp(to, 0, shown.length - 1)]);
      next.tabIndex = 0;
      next.focus();
    } else if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      pin(shown[at]);
    } else if (event.key === 'Escape') unpin();
  });
  show();
  selection.listeners.push(mark);
  selection.brushListeners.push(show);
  return section('trials', 'Trials', {},
    h('p', {class: 'note'}, 'A click, or Enter, keeps a trial highlighted in every chart; arrow keys move through the rows, a heading sorts.'),
    h('div', {class: 'controls'}, told, more),
    h('div', {class: 'scroll', role: 'region', 'aria-label': 'Trials', tabindex: -1}, h('table', {class: columns.length > 12 ? 'dense' : null}, h('thead', {}, h('tr', {}, heads)), body)));
}
