// Learning curves of all trials, by any recorded metric.

function curvesSection(sweep) {
  const shown = sweep.trials.slice(0, sweep.shown).filter(trial => trial.points.length);
  if (!shown.length) return null;
  const state = {m: 0, log: false, by: 'rank', x: null, y: null};
  const isLoss = m => /loss|error|cost/.test(sweep.metrics[m]);
  const measure = () => {
    const all = [];
    let last = 1, positive = true;
    for (const trial of shown) {
      const curve = trial.curves[state.m];
      for (const v of curve) { all.push(v); if (v <= 0) positive = false; }
      last = Math.max(last, trial.points[trial.points.length - 1]);
    }
    state.x = numeric(1, Math.max(last, 2), false);
    if (last < 2) state.x = numeric(0, 2, false);
    state.possible = positive;
    const log = state.log && positive;
    state.y = numeric(...ends(all, log), log);
  };
  const place = (box, epoch, v) => [box.x + box.w * state.x.u(epoch), box.y + box.h * (1 - clamp(state.y.u(v), -.02, 1.02))];
  const trace = (ctx, box, trial) => {
    const curve = trial.curves[state.m];
    let open = false;
    ctx.beginPath();
    for (let e = 0; e < curve.length; e++) {
      if (Number.isNaN(curve[e])) { open = false; continue; }
      const [x, y] = place(box, trial.points[e], curve[e]);
      if (open) ctx.lineTo(x, y);
      else { ctx.moveTo(x, y); ctx.lineTo(x + .01, y); }
      open = true;
    }
    ctx.stroke();
  };
  const p = plot({
    label: () => `Learning curves of ${shown.length} trials: ${sweep.metrics[state.m]} by epoch.`,
    height: width => clamp(Math.round(width * .42), 260, 460),
    margin: {left: 58, right: 14, top: 26, bottom: 38},
    trials: () => shown.filter(inside),
    draw(ctx, box) {
      const whole = state.x.ticks(clamp(box.w / 70, 2, 12)).filter(([u]) => Number.isInteger(Number((state.x.low + u * (state.x.high - state.x.low)).toFixed(6))));
      drawX(ctx, box, whole, 'epoch');
      drawY(ctx, box, state.y.ticks(clamp(box.h / 50, 3, 8)), sweep.metrics[state.m] + (state.y.log ? ' (log)' : ''));
      ctx.save();
      ctx.beginPath();
      ctx.rect(box.x - 2, box.y - 6, box.w + 10, box.h + 12);
      ctx.clip();
      const many = shown.length > 150;
      ctx.lineWidth = many ? 1 : 1.5;
      for (const brushedOnes of isBrushed() ? [false, true] : [true]) {
        for (let i = shown.length - 1; i >= 0; i--) {
          const trial = shown[i];
          if (isBrushed() && inside(trial) !== brushedOnes) continue;
          ctx.strokeStyle = brushedOnes ? colorOf(sweep, trial, state.by) : css('faint');
          ctx.globalAlpha = brushedOnes ? opacity(shown.length, trial.share) : .35;
          ctx.setLineDash(dashOf(sweep, trial, state.by));
          trace(ctx, box, trial);
        }
      }
      if (sweep.best && shown.includes(sweep.best)) { // the winner, thicker
        ctx.globalAlpha = 1;
        ctx.setLineDash([]);
        drawAbove(ctx, 'win', () => trace(ctx, box, sweep.best));
      }
      ctx.restore();
    },
    over(ctx, box, trial) {
      if (!trial.curves.length || trial.place !== sweep.place) return;
      drawAbove(ctx, 'accent', () => trace(ctx, box, trial));
      ctx.fillStyle = css('accent');
      const curve = trial.curves[state.m];
      let last = null;
      trial.points.forEach((epoch, e) => {
        if (Number.isNaN(curve[e])) return;
        const [x, y] = last = place(box, epoch, curve[e]);
        if (trial.points.length <= 60) drawMark(ctx, 'circle', x, y, 2.5);
        if (epoch === trial.bestEpoch) { ctx.lineWidth = 2; ctx.beginPath(); ctx.arc(x, y, 6, 0, 7); ctx.stroke(); }
      });
      if (last) drawName(ctx, box, trial, ...last);
    },
    pick(x, y, box) {
      const epoch = state.x.low + (x - box.x) / box.w * (state.x.high - state.x.low);
      let best = null, nearest = 16;
      for (const trial of shown) {
        if (!inside(trial)) continue;
        const {points} = trial, curve = trial.curves[state.m];
        if (epoch > points[points.length - 1] + .6) continue;
        let e = points.length <= epoch ? points.length - 1 : Math.max(0, Math.floor(epoch) - 1);
        if (points[e] !== e + 1) e = Math.max(0, points.findIndex(v => v > epoch) - 1);
        const next = Math.min(e + 1, points.length - 1), width = points[next] - points[e];
        const f = width ? clamp((epoch - points[e]) / width, 0, 1) : 0;
        const d = Math.abs(place(box, epoch, curve[e] + f * (curve[next] - curve[e]))[1] - y);
        if (d < nearest) { nearest = d; best = trial; }
      }
      return best;
    },
  });
  const legends = h('div');
  const show = () => {
    measure();
    logBox.disabled = !state.possible;
    legends.replaceChildren(legend(sweep, state.by));
    p.schedule();
  };
  const logBox = h('input', {type: 'checkbox', onchange: () => { state.log = logBox.checked; show(); }});
  const controls = h('div', {class: 'controls'},
    select('metric', sweep.metrics.map((name, m) => [m, name]), 0, m => {
      state.m = m;
      state.log = logBox.checked = isLoss(m) && state.log;
      show();
    }),
    h('label', {}, logBox, 'log scale'),
    colorings(sweep).length > 1 ? select('color', colorings(sweep), 'rank', by => { state.by = by; show(); }) : null);
  show();
  THEMED.push(show);
  const less = sweep.shown < sweep.trials.length ? ` The curves of the best ${sweep.shown.toLocaleString('en')} of ${sweep.trials.length.toLocaleString('en')} trials are drawn.` : '';
  return section('curves', 'Learning curves', {short: 'Curves'}, h('figure', {},
    h('figcaption', {}, `A line a trial; the winner is the thick one, a ring marks a trial's best epoch.${less}`), controls, legends, p.host));
}
