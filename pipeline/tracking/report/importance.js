// How much each hyperparameter mattered, beside the tier that says how much it usually does.

function importanceSection(sweep) {
  const rows = sweep.importance;
  if (!rows.length) return null;
  const name = key => (sweep.axes.find(axis => axis.key === key) || {name: key}).name;
  const percent = u => `${Math.round(100 * u)} %`, most = Math.max(...rows.map(row => row.high), .01);
  return section('importance', 'Importance', {half: true},
    h('p', {class: 'note'}, 'How differently the best quarter of the trials is spread over a hyperparameter than all trials are, as a share of all (PED-ANOVA). The dark line is where 90 % of resamples of the trials put it.'),
    h('div', {class: 'bars'}, rows.flatMap(row => [
      h('span', {title: row.key}, name(row.key), ' ', h('span', {class: 'soft'}, row.tier ? `tier ${row.tier}` : 'no tier')),
      h('div', {class: 'measure', role: 'img', 'aria-label': `${percent(row.share)}, ${percent(row.low)} to ${percent(row.high)}`},
        h('i', {style: `width:${100 * row.share / most}%`}), h('b', {style: `left:${100 * row.low / most}%;width:${100 * (row.high - row.low) / most}%`})),
      h('span', {}, percent(row.share), ' ', h('span', {class: 'soft'}, `${percent(row.low).replace(' %', '')}–${percent(row.high)}`)),
    ])),
    sweep.disagreements.map(text => h('p', {class: 'warn'}, `${text[0].toUpperCase()}${text.slice(1)}.`)));
}
