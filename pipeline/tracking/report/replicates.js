// Trials that were trained again with other seeds: how far their results are chance.

function replicatesSection(sweep) {
  const rows = sweep.replicated.map(row => ({...row, trial: sweep.byNumber.get(row.number), known: row.values.map(pair => pair[1]).filter(v => v !== null)}))
    .filter(row => row.trial && row.known.length);
  if (!rows.length) return null;
  rows.sort((a, b) => a.trial.i - b.trial.i); // as the table has them
  const all = rows.flatMap(row => [...row.known, row.trial.score]).filter(v => v !== null);
  const x = numeric(...ends(all, false), false), height = 34;
  const at = (box, v) => box.x + box.w * clamp(x.u(v), 0, 1);
  const middle = (box, row) => box.y + (rows.indexOf(row) + .5) * height;
  const p = plot({
    label: () => `${sweep.metric} of ${plural(rows.length, 'trial')} with other seeds: ${rows.map(row => `trial ${row.number}, mean ${metric(row.mean)} of ${row.seeds}`).join('; ')}.`,
    height: () => 12 + rows.length * height + 40,
    margin: {left: 70, right: 14, top: 12, bottom: 40},
    trials: () => rows.map(row => row.trial),
    draw(ctx, box) {
      drawX(ctx, box, x.ticks(clamp(box.w / 90, 2, 7)), sweep.metric);
      for (const row of rows) {
        const y = middle(box, row);
        ctx.fillStyle = css('ink');
        ctx.textAlign = 'right';
        ctx.textBaseline = 'middle';
        ctx.fillText(`trial ${row.number}`, box.x - 8, y);
        ctx.strokeStyle = ctx.fillStyle = css('bar');
        ctx.globalAlpha = .25;
        if (row.sd !== null) ctx.fillRect(at(box, row.mean - row.sd), y - 8, Math.max(at(box, row.mean + row.sd) - at(box, row.mean - row.sd), 2), 16);
        ctx.globalAlpha = .8;
        row.known.forEach((v, i) => drawMark(ctx, 'circle', at(box, v), y + 6 * jitter(i + 1), 3.4));
        ctx.globalAlpha = 1;
        ctx.strokeStyle = css('ink');
        ctx.lineWidth = 2.5;
        line(ctx, at(box, row.mean), y - 11, at(box, row.mean), y + 11);
        if (row.trial.score !== null) {
          ctx.lineWidth = 1.6;
          drawMark(ctx, 'triangle', at(box, row.trial.score), y, 5);
        }
      }
    },
    over(ctx, box, trial) {
      const row = rows.find(r => r.trial === trial);
      if (!row) return;
      ctx.strokeStyle = css('accent');
      ctx.lineWidth = 2.5;
      ctx.strokeRect(box.x - 66, middle(box, row) - height / 2 + 2, box.w + 72, height - 4);
    },
    pick(px, py, box) { const row = rows[Math.floor((py - box.y) / height)]; return row ? row.trial : null; },
  });
  THEMED.push(p.schedule);
  const spread = row => row.sd === null ? '' : ` ± ${metric(row.sd)}`;
  const epochs = rows.reduce((sum, row) => sum + row.epochs, 0), seconds = rows.reduce((sum, row) => sum + row.seconds, 0);
  return section('replicates', 'Other seeds', {half: true},
    h('p', {class: 'note'}, `A mark a seed, the line their mean, the band one standard deviation to either side; the triangle is the trial's own result, which was chosen for being good. They cost ${plural(epochs, 'epoch')}, ${duration(seconds)} of training.`),
    h('figure', {}, p.host), facts(rows.map(row => [`trial ${row.number}`, `${metric(row.mean)}${spread(row)}, ${plural(row.seeds, 'seed')}${row.seeds < row.values.length ? ` of ${row.values.length}` : ''}`])));
}
