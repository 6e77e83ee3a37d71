// Each parameter against the metric, on the parameter's own scale.

// The metric's axis in scatter charts and parallel coordinates, without the few values that ran away.
function scoreScale(sweep) {
  return sweep.scoreScale ||= numeric(...ends(sweep.trials.map(trial => trial.score).filter(v => v !== null), false), false);
}
function scoreShare(sweep, score) {
  return score === null || score === undefined ? NaN : clamp(scoreScale(sweep).u(score), 0, 1);
}

function scatterSection(sweep) {
  const axes = varied(sweep), scored = sweep.trials.filter(trial => trial.score !== null);
  if (!axes.length || !scored.length) return null;
  const state = {by: 'rank'};
  const plots = [];
  const cards = axes.map(a => {
    const axis = sweep.axes[a], here = scored.filter(trial => !Number.isNaN(trial.at[a]));
    const spread = axis.scale === 'choice' ? .3 : 0;
    const place = (box, trial) => [
      box.x + box.w * share(axis, trial.at[a] + spread * jitter(trial.number)),
      box.y + box.h * (1 - scoreShare(sweep, trial.score)),
    ];
    const p = plot({
      label: () => `${sweep.metric} of ${here.length} trials by ${axis.key}, ${scaleText(axis) || 'linear scale'}.`,
      height: () => 230,
      margin: {left: 52, right: 12, top: 24, bottom: axis.ticks.some(tick => tick[2]) ? 42 : 26},
      trials: () => here.filter(inside),
      draw(ctx, box) {
        drawX(ctx, box, ticksOf(axis));
        drawY(ctx, box, scoreScale(sweep).ticks(4), sweep.metric);
        const r = here.length > 300 ? 2.4 : 3.6;
        ctx.lineWidth = 1.6;
        for (let i = here.length - 1; i >= 0; i--) {
          const trial = here[i], on = inside(trial);
          ctx.globalAlpha = on ? .8 : .25;
          ctx.fillStyle = ctx.strokeStyle = on ? colorOf(sweep, trial, state.by) : css('faint');
          drawMark(ctx, SHAPES[trial.status], ...place(box, trial), r);
        }
        ctx.globalAlpha = 1;
        if (sweep.best && !Number.isNaN(sweep.best.at[a])) {
          ctx.strokeStyle = css('win');
          ctx.lineWidth = 2.5;
          ctx.beginPath();
          ctx.arc(...place(box, sweep.best), 7, 0, 7);
          ctx.stroke();
        }
      },
      over(ctx, box, trial) {
        if (trial.place !== sweep.place || trial.score === null || Number.isNaN(trial.at[a])) return;
        const [x, y] = place(box, trial);
        ctx.fillStyle = ctx.strokeStyle = css('card');
        drawMark(ctx, 'circle', x, y, 9);
        ctx.fillStyle = ctx.strokeStyle = css('accent');
        ctx.lineWidth = 2.5;
        drawMark(ctx, SHAPES[trial.status], x, y, 6);
        drawName(ctx, box, trial, x, y);
      },
      pick: (x, y, box) => nearestOf(here.filter(inside), trial => place(box, trial), x, y),
    });
    plots.push(p);
    const notes = [axis.tier ? `tier ${axis.tier}` : '', scaleText(axis)].filter(Boolean).join(', ');
    return h('div', {}, h('h3', {title: axis.key}, axis.name, ' ', h('span', {class: 'soft'}, notes)), p.host);
  });
  const legends = h('div');
  const show = () => {
    legends.replaceChildren(legend(sweep, state.by, {shapes: true}));
    plots.forEach(p => p.schedule());
  };
  show();
  THEMED.push(show);
  const controls = colorings(sweep).length > 1
    ? h('div', {class: 'controls'}, select('color', colorings(sweep), 'rank', by => { state.by = by; show(); })) : null;
  const windows = axes.some(a => sweep.axes[a].scale === 'one_minus_log')
    ? ' A weight of the past, such as a momentum, is drawn evenly in the logarithm of its distance from 1; below it stand the steps over which it averages.' : '';
  return section('parameters', 'Parameters against the metric', {short: 'Parameters'}, h('figure', {},
    h('figcaption', {}, `A mark a trial, at the ${sweep.metric} of its best epoch; the winner has a ring.${sweep.copies.length ? ' Values are those that trials began with; they change as trials copy others.' : ''}${windows}`),
    controls, legends, h('div', {class: 'grid'}, cards)));
}

function nearestOf(trials, place, x, y, within = 14) {
  let best = null, nearest = within * within;
  for (const trial of trials) {
    const [px, py] = place(trial), d = (px - x) ** 2 + (py - y) ** 2;
    if (d < nearest) { nearest = d; best = trial; }
  }
  return best;
}
