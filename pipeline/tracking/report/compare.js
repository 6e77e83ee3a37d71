// Several sweeps side by side.

function compareSection() {
  const metrics = new Set(SWEEPS.map(sweep => `${sweep.metric} ${sweep.maximize}`)), prints = new Set(SWEEPS.map(sweep => sweep.data.fingerprint));
  const warnings = [];
  if (metrics.size > 1) warnings.push('The sweeps have different metrics: their values do not compare.');
  if (prints.size > 1) warnings.push('The sweeps were trained on different data: their values compare only as far as the data do.');
  const sign = SWEEPS[0].maximize ? -1 : 1;
  // Where replicates decided, a winner is as good as their mean.
  const byMean = s => s.best && s.best.seeds && s.best.seeds.mean !== null ? s.best.seeds : null;
  const worth = s => !s.best ? Infinity : sign * (byMean(s) ? byMean(s).mean : s.best.score);
  const order = metrics.size > 1 ? SWEEPS : [...SWEEPS].sort((a, b) => worth(a) - worth(b));
  const columns = [
    ['sweep', s => h('span', {class: 'nowrap'}, swatch(category(s.place), DASHES[s.place % DASHES.length]), ' ', s.name)],
    ['best', s => byMean(s) ? `${metric(byMean(s).mean)}, mean of ${plural(byMean(s).seeds, 'seed')}` : s.best ? metric(s.best.score) : '–', true],
    ['metric', s => s.metric],
    ['test', s => s.winner && s.winner.test ? Object.entries(s.winner.test.metrics).map(([name, v]) => `${name} ${metric(v)}`).join(', ') : '–'],
    ['trials', s => s.trials.length, true],
    ['completed', s => s.trials.filter(t => t.status === 'completed').length, true],
    ['epochs', s => s.epochs.toLocaleString('en'), true],
    ['time', s => duration(s.wall), true],
    ['sampler', s => s.sampler],
    ['searched', s => s.axes.map(axis => axis.name).join(', ')],
    ['data', s => (s.data.data || s.data.fingerprint || '').split(':')[0]],
  ];
  const table = h('div', {class: 'wide'}, h('table', {}, h('thead', {}, h('tr', {}, columns.map(([name, , n]) => h('th', {scope: 'col', class: n ? 'n' : null}, name)))),
    h('tbody', {}, order.map(sweep => h('tr', {}, columns.map(([, show, n], c) => h(c ? 'td' : 'th', {class: n ? 'n' : null, scope: c ? null : 'row'}, show(sweep))))))));
  const alike = metrics.size === 1;
  // What the winners have, key by key: where all agree is worth as much as where they do not.
  const keys = [...new Set(order.flatMap(sweep => sweep.axes.map(axis => axis.key)))];
  const cell = (sweep, key) => {
    const a = sweep.axes.findIndex(axis => axis.key === key);
    if (a < 0) {
      const {[key]: fixed, [`${key}._target_`]: target} = sweep.fixed; // of a group, what its file makes
      return fixed || target ? h('span', {class: 'soft'}, fixed || target.split('.').pop()) : '–';
    }
    return sweep.best ? value(sweep.axes[a], sweep.best.params[a]) : '–';
  };
  const winners = h('div', {class: 'wide'}, h('table', {}, h('thead', {}, h('tr', {}, h('th', {scope: 'col'}, 'winner'), order.map(sweep => h('th', {scope: 'col', class: 'n'}, sweep.name)))),
    h('tbody', {}, keys.map(key => h('tr', {}, rowHead(key), order.map(sweep => h('td', {class: 'n'}, cell(sweep, key))))))));
  return section('compare', 'The sweeps compared', {short: 'Compared'}, warnings.map(text => h('p', {class: 'warn'}, text)), table,
    h('h3', {}, 'The winners’ parameters'), h('p', {class: 'note'}, 'Grey: not searched in that sweep. Of a file of a group that was not compared: what it makes.'), winners,
    alike ? [h('h3', {}, 'The best value so far, by what was spent'), progressFigure(SWEEPS, 'Progress of the sweeps'), h('h3', {}, 'All trials'), stripFigure(order)] : null);
}

// The values of all trials, a row a sweep.
function stripFigure(order) {
  const all = order.flatMap(sweep => sweep.trials.filter(trial => trial.score !== null));
  if (!all.length) return null;
  const x = numeric(...ends(all.map(trial => trial.score), false), false), height = 44;
  const place = (box, trial) => [box.x + box.w * clamp(x.u(trial.score), 0, 1), box.y + (order.indexOf(SWEEPS[trial.place]) + .5 + .32 * jitter(trial.number)) * height];
  const p = plot({
    label: () => `${order[0].metric} of all trials by sweep: ${order.map(sweep => `${sweep.name}, median ${metric(median(sweep.trials.map(t => t.score)))}`).join('; ')}.`,
    height: () => 10 + order.length * height + 40,
    margin: width => ({left: width < 560 ? 96 : 170, right: 14, top: 10, bottom: 40}),
    trials: () => all,
    draw(ctx, box) {
      drawX(ctx, box, x.ticks(clamp(box.w / 80, 2, 8)), order[0].metric);
      order.forEach((sweep, i) => {
        ctx.fillStyle = css('ink');
        ctx.textAlign = 'right';
        ctx.textBaseline = 'middle';
        ctx.fillText(fitted(ctx, sweep.name, box.x - 14), box.x - 8, box.y + (i + .5) * height);
        ctx.fillStyle = ctx.strokeStyle = category(sweep.place);
        ctx.globalAlpha = .6;
        ctx.lineWidth = 1.5;
        for (const trial of sweep.trials) if (trial.score !== null) drawMark(ctx, SHAPES[trial.status], ...place(box, trial), 3);
        ctx.globalAlpha = 1;
        const middle = median(sweep.trials.map(trial => trial.score));
        if (middle !== null) {
          const at = box.x + box.w * clamp(x.u(middle), 0, 1);
          ctx.strokeStyle = css('ink');
          ctx.lineWidth = 2.5;
          line(ctx, at, box.y + (i + .1) * height, at, box.y + (i + .9) * height);
        }
      });
    },
    over(ctx, box, trial) {
      if (trial.score === null) return;
      ctx.fillStyle = css('accent');
      drawMark(ctx, 'circle', ...place(box, trial), 6);
      drawName(ctx, box, trial, ...place(box, trial));
    },
    pick: (px, py, box) => nearestOf(all, trial => place(box, trial), px, py),
  });
  THEMED.push(p.schedule);
  return h('figure', {}, h('figcaption', {}, 'A mark a trial; the line is the median.'), p.host);
}
