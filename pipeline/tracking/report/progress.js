// The best value so far, against what was spent: of one sweep, or of several that compare.

function progressFigure(sweeps, label) {
  const list = sweeps.filter(sweep => sweep.progress.length);
  if (!list.length) return null;
  const state = {by: 'epochs', log: false};
  let x = null, y = null;
  const spent = step => state.by === 'epochs' ? step[1] : Math.max(step[2], 0);
  const total = sweep => state.by === 'epochs' ? sweep.epochs : Math.max(sweep.wall, spent(sweep.progress[sweep.progress.length - 1]));
  const color = sweep => sweeps.length > 1 ? category(sweep.place) : css('bar');
  const measure = () => {
    const last = Math.max(...list.map(total));
    const first = Math.min(...list.map(sweep => spent(sweep.progress[0])));
    x = numeric(state.log ? Math.max(first, state.by === 'epochs' ? 1 : .1) : 0, last, state.log);
    y = numeric(...ends(list.flatMap(sweep => sweep.progress.map(step => step[3])), false), false);
  };
  measure();
  const place = (box, at, v) => [box.x + box.w * clamp(x.u(at), 0, 1), box.y + box.h * (1 - clamp(y.u(v), -.02, 1.02))];
  const p = plot({
    label: () => `${label}: ${list.map(sweep => `${sweep.name} comes to ${sweep.metric} ${metric(sweep.progress[sweep.progress.length - 1][3])} after ${sweep.progress[sweep.progress.length - 1][1]} of ${total(sweep)} epochs`).join('; ')}.`,
    height: width => clamp(Math.round(width * .6), 220, 400),
    margin: {left: 58, right: 14, top: 26, bottom: 40},
    trials: () => [],
    draw(ctx, box) {
      drawX(ctx, box, x.ticks(clamp(box.w / 80, 2, 8)), state.by === 'epochs' ? 'epochs trained, of all trials together' : 'seconds since the first trial began');
      drawY(ctx, box, y.ticks(5), `best ${list[0].metric} so far`);
      for (const sweep of list) {
        ctx.strokeStyle = ctx.fillStyle = color(sweep);
        ctx.lineWidth = 2.2;
        ctx.setLineDash(sweeps.length > 1 ? DASHES[sweep.place % DASHES.length] : []);
        ctx.beginPath();
        let before = null;
        for (const step of sweep.progress) {
          const [px, py] = place(box, spent(step), step[3]);
          if (before === null) ctx.moveTo(px, py);
          else { ctx.lineTo(px, before); ctx.lineTo(px, py); }
          before = py;
        }
        ctx.lineTo(place(box, total(sweep), 0)[0], before);
        ctx.stroke();
        ctx.setLineDash([]);
        for (const step of sweep.progress) drawMark(ctx, 'circle', ...place(box, spent(step), step[3]), 2.6);
      }
    },
  });
  const show = () => { measure(); p.schedule(); };
  THEMED.push(show);
  const logBox = h('input', {type: 'checkbox', onchange: () => { state.log = logBox.checked; show(); }});
  return h('figure', {}, h('div', {class: 'controls'},
    choices('Cost', [['epochs', 'by epochs'], ['seconds', 'by time']], 'epochs', by => { state.by = by; show(); }),
    h('label', {}, logBox, 'log scale')), p.host);
}

function progressSection(sweep) {
  const figure = progressFigure([sweep], 'Progress');
  if (!figure) return null;
  const last = sweep.progress[sweep.progress.length - 1];
  const text = `The best value came from trial ${last[0]}, after ${Math.round(100 * last[1] / sweep.epochs)} % of the ${sweep.epochs.toLocaleString('en')} epochs.`;
  return section('progress', 'Progress', {half: true}, h('p', {class: 'note'}, text), figure);
}
