// What the sweep cost, when each trial ran, where trials stopped, and why some failed.

function costSection(sweep) {
  const trained = sweep.fits.filter(trial => trial.epochs), reseeded = trained.filter(trial => trial.of);
  if (!trained.length) return null;
  const sum = list => list.reduce((a, b) => a + b, 0);
  const {epochs, wall} = sweep, seconds = sum(trained.map(trial => trial.seconds));
  const took = trained.filter(trial => !trial.of).map(trial => trial.seconds);
  const perEpoch = trained.map(trial => trial.seconds / trial.epochs);
  const state = {by: 'timeline'};
  const timed = trained.filter(trial => trial.begun !== null).sort((a, b) => a.begun - b.begun || a.number - b.number);
  const row = new Map(timed.map((trial, i) => [trial, i]));
  const byNumber = [...trained].sort((a, b) => a.number - b.number);
  const measure = trial => state.by === 'epoch' ? trial.seconds / trial.epochs : trial.seconds;
  let x = null, y = null;
  const ready = () => {
    if (state.by === 'timeline') x = numeric(0, wall || 1, false);
    else {
      x = numeric(byNumber[0].number, Math.max(byNumber[byNumber.length - 1].number, byNumber[0].number + 1), false);
      y = numeric(0, Math.max(...byNumber.map(measure)) * 1.05 || 1, false);
    }
  };
  ready();
  const bar = (box, trial) => {
    const height = box.h / timed.length;
    return [box.x + box.w * x.u(trial.begun), box.y + row.get(trial) * height, Math.max(box.w * (x.u(trial.ended) - x.u(trial.begun)), 1.5), Math.max(height * .8, .7)];
  };
  const place = (box, trial) => [box.x + box.w * x.u(trial.number), box.y + box.h * (1 - y.u(measure(trial)))];
  const p = plot({
    label: () => state.by === 'timeline' ? `When each of ${plural(timed.length, reseeded.length ? 'fit' : 'trial')} trained, of ${duration(wall)}.` : `Seconds of training by trial${state.by === 'epoch' ? ', an epoch' : ''}.`,
    height: width => clamp(Math.round(width * .45), 220, 330),
    margin: {left: 52, right: 14, top: 26, bottom: 40},
    trials: () => trained.filter(trial => !trial.of && inside(trial)),
    draw(ctx, box) {
      if (state.by === 'timeline') {
        drawX(ctx, box, x.ticks(clamp(box.w / 80, 2, 8)), 'seconds since the first trial began');
        drawY(ctx, box, [], reseeded.length ? 'trials, and those of other seeds, as they began' : 'trials, in the order in which they began');
        for (const trial of timed) {
          ctx.fillStyle = inside(trial) ? ramp(trial.share) : css('faint');
          ctx.fillRect(...bar(box, trial));
        }
      } else {
        drawX(ctx, box, x.ticks(clamp(box.w / 80, 2, 8)).filter(([, text]) => !text.includes('.')), 'trial');
        drawY(ctx, box, y.ticks(4), state.by === 'epoch' ? 'seconds an epoch' : 'seconds');
        ctx.lineWidth = 1.5;
        for (const trial of byNumber) {
          ctx.fillStyle = ctx.strokeStyle = inside(trial) ? ramp(trial.share) : css('faint');
          drawMark(ctx, SHAPES[trial.status], ...place(box, trial), trained.length > 300 ? 2.2 : 3.4);
        }
      }
    },
    over(ctx, box, trial) {
      if (trial.place !== sweep.place || !trial.epochs) return;
      ctx.fillStyle = css('accent');
      if (state.by === 'timeline') {
        for (const fit of timed) {
          if ((fit.of || fit) !== trial) continue;
          const [bx, by, w, height] = bar(box, fit);
          ctx.fillRect(bx, by - 1, w, Math.max(height + 2, 4));
          if (fit === trial) drawName(ctx, box, trial, bx + w, by);
        }
      } else {
        drawMark(ctx, 'circle', ...place(box, trial), 6);
        drawName(ctx, box, trial, ...place(box, trial));
      }
    },
    pick(px, py, box) {
      const fit = state.by === 'timeline' ? timed[Math.floor((py - box.y) / box.h * timed.length)]
        : nearestOf(byNumber.filter(inside), trial => place(box, trial), px, py);
      return fit && inside(fit) ? fit.of || fit : null;
    },
  });
  const show = () => { ready(); p.schedule(); };
  THEMED.push(show);
  const parameters = trained.map(trial => trial.parameters).filter(Boolean);
  const rows = [
    ['whole', `${duration(wall)} from the first trial's begin to the last one's end, without pauses between starts`],
    ['training', `${duration(seconds)}, shares of trials that train together added up`],
    ['epochs', `${epochs.toLocaleString('en')}, ${duration(median(perEpoch))} each (median); ${duration(Math.min(...perEpoch))} to ${duration(Math.max(...perEpoch))}`],
    ['a trial', `${duration(median(took))} (median); ${duration(Math.min(...took))} to ${duration(Math.max(...took))}`],
    ['together', `up to ${plural(Math.max(...trained.map(trial => trial.cohort)), 'trial')} in one computation`],
  ];
  if (sweep.budget) rows.unshift(['budget', `${duration(sweep.spent)} of ${duration(sweep.budget)} used by all starts, start-up included`]);
  else if (sweep.spent) rows.unshift(['all starts', `${duration(sweep.spent)}, start-up included`]);
  if (reseeded.length) rows.push(['other seeds', `${plural(reseeded.length, 'fit')} with other seeds, among all these: ${plural(sum(reseeded.map(fit => fit.epochs)), 'epoch')}, ${duration(sum(reseeded.map(fit => fit.seconds)))} of training`]);
  if (parameters.length) rows.push(['model size', `${[...new Set([Math.min(...parameters), Math.max(...parameters)])].map(n => n.toLocaleString('en')).join(' to ')} parameters`]);
  return section('cost', 'Time and cost', {half: true, short: 'Cost'}, facts(rows), h('figure', {}, h('div', {class: 'controls'},
    choices('What the chart shows', [['timeline', 'timeline'], ['trial', 'by trial'], ['epoch', 'by epoch']], 'timeline', by => { state.by = by; show(); })), p.host));
}

function rungsSection(sweep) {
  const rungs = new Map();
  for (const trial of sweep.trials) for (const epoch of trial.rungs) {
    const key = JSON.stringify([sweep.stages.findIndex(stage => stage.name === trial.stage), epoch]);
    const entry = rungs.get(key) || {stage: trial.stage, epoch, came: 0, stopped: 0};
    entry.came += 1;
    if (trial.status === 'pruned' && Math.max(...trial.rungs) === epoch) entry.stopped += 1;
    rungs.set(key, entry);
  }
  for (const [key, entry] of rungs) if (!entry.stopped) rungs.delete(key); // where a budget ended, none was compared
  if (!rungs.size) return null;
  const list = [...rungs.keys()].map(key => JSON.parse(key)).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(key => rungs.get(JSON.stringify(key)));
  const most = Math.max(...list.map(entry => entry.came));
  const pruned = sweep.trials.filter(trial => trial.status === 'pruned').length;
  return section('rungs', 'Rungs', {half: true},
    h('p', {class: 'note'}, `${plural(pruned, 'trial')} of ${sweep.trials.length.toLocaleString('en')} stopped at a rung; ${sweep.epochs.toLocaleString('en')} epochs were trained in all. Solid: went on; hatched: stopped.`),
    h('div', {class: 'bars'}, list.flatMap(entry => [
      h('span', {}, `${sweep.severalStages ? `${entry.stage}, ` : ''}epoch ${entry.epoch}`),
      h('div', {class: 'bar', role: 'img', 'aria-label': `${entry.came} came, ${entry.stopped} stopped`},
        h('i', {style: `width:${100 * (entry.came - entry.stopped) / most}%`}), h('i', {class: 'rest', style: `width:${100 * entry.stopped / most}%`})),
      h('span', {}, `${entry.came - entry.stopped} of ${entry.came} went on`),
    ])));
}

function failuresSection(sweep) {
  const groups = new Map();
  for (const trial of sweep.trials) {
    if (trial.status !== 'failed' && trial.status !== 'diverged') continue;
    const key = `${trial.status}: ${(trial.reason || 'no reason was given').replace(/epoch \d+/, 'epoch …')}`;
    groups.set(key, [...(groups.get(key) || []), trial]);
  }
  if (!groups.size) return null;
  const list = [...groups].sort((a, b) => b[1].length - a[1].length);
  const n = list.reduce((sum, [, trials]) => sum + trials.length, 0);
  return section('failures', 'Failures', {half: true},
    h('p', {class: 'note'}, `${n} of ${sweep.trials.length} trials failed or diverged.`),
    h('table', {class: 'facts'}, h('tbody', {}, list.map(([reason, trials]) => h('tr', {},
      h('th', {scope: 'row'}, plural(trials.length, 'trial')),
      h('td', {}, reason, h('div', {class: 'soft'}, trials.slice(0, 12).map(trial => trial.number).sort((a, b) => a - b).join(', '), trials.length > 12 ? ' …' : '')))))));
}
