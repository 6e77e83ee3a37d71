// The lineage of a population: who went on as whose copy, and the schedule that this made of the winner.

// trial -> its copies, oldest first.
function copiesByTrial(sweep) {
  const copiesOf = new Map();
  for (const [number, epoch, source] of sweep.copies) {
    const trial = sweep.byNumber.get(number), from = sweep.byNumber.get(source);
    if (trial && from) copiesOf.set(trial, [...(copiesOf.get(trial) || []), {epoch, from}]);
  }
  return copiesOf;
}

const modelEpoch = trial => trial.bestEpoch || trial.epochs;
// Where the weights of a trial's model, which is of its best epoch, were trained: [from epoch, to epoch, trial], newest first.
function ancestry(trial, copiesOf) {
  const path = [];
  let until = modelEpoch(trial);
  for (let guard = 0; trial && guard < 10000; guard++) {
    const copy = (copiesOf.get(trial) || []).filter(c => c.epoch < until).pop();
    path.push([copy ? copy.epoch : 0, until, trial]);
    if (!copy) break;
    [trial, until] = [copy.from, copy.epoch];
  }
  return path;
}

function lineageSection(sweep) {
  if (!sweep.copies.length) return null;
  const copiesOf = copiesByTrial(sweep);
  const members = new Set([...copiesOf].flatMap(([trial, copies]) => [trial, ...copies.map(copy => copy.from)]));
  const rows = sweep.trials.filter(trial => members.has(trial));
  const last = Math.max(...rows.map(trial => trial.epochs), 1);
  const x = numeric(0, last, false), height = clamp(560 / rows.length, 7, 22);
  const at = (box, epoch, trial) => [box.x + box.w * x.u(epoch), box.y + (rows.indexOf(trial) + .5) * height];
  const trace = (ctx, box, trial) => {
    ctx.beginPath();
    ancestry(trial, copiesOf).forEach(([from, to, member], i) => {
      if (i) ctx.lineTo(...at(box, to, member));
      else ctx.moveTo(...at(box, to, member));
      ctx.lineTo(...at(box, from, member));
    });
    ctx.stroke();
  };
  const p = plot({
    label: () => `Lineage of ${rows.length} trials with ${sweep.copies.length} copies.${!rows.includes(sweep.best) ? ''
      : ` The winner's weights, newest first: ${ancestry(sweep.best, copiesOf).map(([from, to, trial]) => `trial ${trial.number}, epochs ${from + 1} to ${to}`).join('; ')}.`}`,
    height: () => 12 + Math.ceil(rows.length * height) + 40,
    margin: {left: 44, right: 16, top: 12, bottom: 40},
    trials: () => rows.filter(inside),
    draw(ctx, box) {
      drawX(ctx, box, x.ticks(clamp(box.w / 70, 2, 12)).filter(([, text]) => !text.includes('.')), 'epoch');
      for (const trial of [...rows].reverse()) {
        ctx.globalAlpha = inside(trial) ? 1 : .3;
        ctx.strokeStyle = ramp(trial.share);
        ctx.lineWidth = clamp(height / 5, 1, 3);
        line(ctx, ...at(box, 0, trial), ...at(box, trial.epochs, trial));
        ctx.strokeStyle = css('soft');
        ctx.lineWidth = 1;
        ctx.fillStyle = css('ink');
        for (const copy of copiesOf.get(trial) || []) {
          line(ctx, ...at(box, copy.epoch, copy.from), ...at(box, copy.epoch, trial));
          drawMark(ctx, 'circle', ...at(box, copy.epoch, trial), clamp(height / 6, 1.5, 3.2));
        }
        ctx.globalAlpha = 1;
        if (height >= 11 || trial === sweep.best) {
          ctx.fillStyle = css('soft');
          ctx.textAlign = 'right';
          ctx.textBaseline = 'middle';
          ctx.fillText(trial.number, box.x - 8, at(box, 0, trial)[1]);
        }
      }
      if (sweep.best && rows.includes(sweep.best)) drawAbove(ctx, 'win', () => trace(ctx, box, sweep.best));
    },
    over(ctx, box, trial) {
      if (!rows.includes(trial)) return;
      ctx.lineWidth = 4;
      ctx.strokeStyle = css('accent');
      trace(ctx, box, trial);
      ctx.fillStyle = css('accent');
      drawMark(ctx, 'circle', ...at(box, modelEpoch(trial), trial), 5);
    },
    pick(px, py, box) { const trial = rows[Math.floor((py - box.y) / height)]; return trial && inside(trial) ? trial : null; },
  });
  THEMED.push(p.schedule);
  const keys = sweep.schedule.length ? Object.keys(sweep.schedule[0].params) : [];
  const named = key => sweep.axes.find(axis => axis.key === key) || {name: key, scale: 'linear'};
  const table = sweep.schedule.length ? [h('h3', {}, 'The schedule that the winner followed'),
    h('div', {class: 'wide'}, h('table', {}, h('thead', {}, h('tr', {}, ['from epoch', 'trial', ...keys.map(key => named(key).name)].map(name => h('th', {scope: 'col', class: 'n'}, name)))),
      h('tbody', {}, sweep.schedule.map(period => h('tr', {}, h('th', {scope: 'row', class: 'n'}, period.from_epoch), h('td', {class: 'n'}, period.trial),
        keys.map(key => h('td', {class: 'n', title: String(period.params[key])}, value(named(key), period.params[key]))))))))] : [];
  return section('lineage', 'Lineage', {},
    h('p', {class: 'note'}, rows.length === sweep.trials.length ? 'A line a trial' : `A line each of the ${rows.length.toLocaleString('en')} of ${plural(sweep.trials.length, 'trial')} that copied another one or were copied`,
      ', the best on top; where it has a dot, it went on as a copy of the trial at the other end of the vertical line. ',
      rows.includes(sweep.best) ? 'The thick line is the way that the weights of the winner’s best epoch came; a highlighted trial shows its own.' : 'A highlighted trial shows the way that the weights of its best epoch came.'),
    h('figure', {}, p.host), table);
}
