// Stages: where each looked, box by box.

function stagesSection(sweep) {
  if (!sweep.severalStages) return null;
  const axes = sweep.axes.map((_, a) => a).filter(a => sweep.stages.some(stage => stage.boxes.some(box => box[0] === a)));
  if (!axes.length) return null;
  // The brackets of hyperband all look everywhere.
  const alike = sweep.stages.every(stage => JSON.stringify(stage.boxes) === JSON.stringify(sweep.stages[0].boxes));
  if (alike && !sweep.stages.some(stage => stage.decision)) return null;
  const arms = sweep.arms.length;
  const cards = axes.map(a => {
    const axis = sweep.axes[a];
    const rows = sweep.stages.flatMap((stage, s) => stage.boxes.filter(box => box[0] === a).map(box => ({stage, s, arm: box[1], low: box[2], high: box[3], text: box[4]})));
    const here = sweep.trials.filter(trial => !Number.isNaN(trial.at[a]));
    const rowOf = trial => rows.findIndex(row => row.stage.name === trial.stage && row.arm === trial.arm);
    const height = rows.length > 8 ? 18 : 30;
    const at = (box, c) => box.x + box.w * clamp(share(axis, c), 0, 1);
    const place = (box, trial) => [at(box, trial.at[a] + (axis.scale === 'choice' ? .3 * jitter(trial.number, .754878) : 0)), box.y + (rowOf(trial) + .5 + .28 * jitter(trial.number)) * height];
    const p = plot({
      label: () => `${axis.key} by stage: ${rows.map(row => `${row.stage.name}${arms > 1 ? ` of ${sweep.arms[row.arm]}` : ''} ${row.text}`).join('; ')}.`,
      height: () => 8 + rows.length * height + (axis.ticks.some(tick => tick[2]) ? 42 : 26),
      margin: {left: 88, right: 14, top: 8, bottom: axis.ticks.some(tick => tick[2]) ? 42 : 26},
      trials: () => here.filter(inside),
      draw(ctx, box) {
        drawX(ctx, box, ticksOf(axis));
        rows.forEach((row, r) => {
          const y = box.y + r * height, color = arms > 1 ? category(row.arm) : css('bar');
          const [x1, x2] = [at(box, row.low), at(box, row.high)];
          ctx.fillStyle = ctx.strokeStyle = color;
          ctx.globalAlpha = .16;
          ctx.fillRect(x1, y + 2, Math.max(x2 - x1, 2), height - 4);
          ctx.globalAlpha = 1;
          ctx.lineWidth = 1.4;
          ctx.setLineDash(arms > 1 ? DASHES[row.arm % DASHES.length] : []);
          ctx.strokeRect(x1, y + 2, Math.max(x2 - x1, 2), height - 4);
          ctx.setLineDash([]);
          if (!rows[r - 1] || rows[r - 1].s !== row.s) {
            ctx.fillStyle = css('ink');
            ctx.textAlign = 'right';
            ctx.textBaseline = 'middle';
            ctx.fillText(fitted(ctx, row.stage.name, 78), box.x - 8, y + height / 2);
          }
        });
        for (let i = here.length - 1; i >= 0; i--) {
          if (rowOf(here[i]) < 0) continue;
          ctx.globalAlpha = inside(here[i]) ? .85 : .2;
          ctx.fillStyle = ctx.strokeStyle = inside(here[i]) ? ramp(here[i].share) : css('faint');
          ctx.lineWidth = 1.4;
          drawMark(ctx, SHAPES[here[i].status], ...place(box, here[i]), here.length > 300 ? 1.8 : 2.8);
        }
        ctx.globalAlpha = 1;
      },
      over(ctx, box, trial) {
        if (trial.place !== sweep.place || Number.isNaN(trial.at[a]) || rowOf(trial) < 0) return;
        ctx.fillStyle = css('accent');
        const [x, y] = place(box, trial);
        drawMark(ctx, 'circle', x, y, 5.5);
        drawName(ctx, box, trial, x, y);
      },
      pick: (x, y, box) => nearestOf(here.filter(trial => inside(trial) && rowOf(trial) >= 0), trial => place(box, trial), x, y),
    });
    THEMED.push(p.schedule);
    return h('div', {}, h('h3', {title: axis.key}, axis.name, ' ', h('span', {class: 'soft'}, scaleText(axis))), p.host);
  });
  const armLegend = arms > 1 ? h('div', {class: 'legend'}, sweep.arms.map((name, i) => h('span', {}, swatch(category(i), DASHES[i % DASHES.length]), name))) : null;
  const decisions = sweep.stages.filter(stage => stage.decision).map(stage => h('p', {class: 'note'}, `After ${stage.name} the search ${stage.decision}.`));
  return section('stages', 'Stages closing in', {short: 'Stages'}, h('figure', {},
    h('figcaption', {}, 'A row a stage: the box is where it looked, the marks are its trials, colored by rank.'),
    armLegend, h('div', {class: 'grid'}, cards)), decisions);
}
