// Arms in pairs: what one does better than another on the same points.

const MOST_PAIRS = 12; // arms.csv has all

function armsSection(sweep) {
  if (!sweep.severalArms) return null;
  const rows = sweep.arms.map((name, arm) => {
    const own = sweep.trials.filter(trial => trial.arm === arm), scored = own.filter(trial => trial.score !== null);
    return [name, own, scored];
  });
  const better = sweep.maximize ? 1 : -1;
  const table = h('div', {class: 'wide'}, h('table', {}, h('thead', {}, h('tr', {}, ['arm', 'trials', `best ${sweep.metric}`, 'trial', 'median'].map((text, i) => h('th', {scope: 'col', class: i ? 'n' : null}, text)))),
    h('tbody', {}, rows.map(([name, own, scored]) => h('tr', {}, h('th', {scope: 'row'}, name), h('td', {class: 'n'}, own.length),
      h('td', {class: 'n'}, scored.length ? metric(scored[0].score) : '–'), h('td', {class: 'n'}, scored.length ? scored[0].number : '–'),
      h('td', {class: 'n'}, metric(median(scored.map(trial => trial.score)))))))));
  const names = [...new Set(sweep.pairs.flatMap(pair => [pair.arm, pair.other]))].sort();
  const pairs = sweep.pairs.filter(pair => pair.differences.length).slice(0, MOST_PAIRS).map(pair => {
    const n = pair.differences.length, wins = pair.differences.filter(d => d * better > 0).length, ties = pair.differences.filter(d => d === 0).length;
    const [ours, theirs] = [pair.arm, pair.other];
    const clear = pair.interval && pair.interval[0] * pair.interval[1] > 0;
    const verdict = !pair.interval ? 'too few pairs for an interval' : clear
      ? `${pair.mean * better > 0 ? ours : theirs} is better` : 'they can’t be told apart';
    const scale = numeric(...symmetric(pair), false);
    const spots = pair.trials.map(([number], i) => ({trial: sweep.byNumber.get(number), d: pair.differences[i]}));
    const at = (box, d) => box.x + box.w * clamp(scale.u(d), 0, 1);
    const place = (box, spot) => [at(box, spot.d), box.y + box.h * (.36 + .3 * jitter(spot.trial.number))];
    const p = plot({
      label: () => `Differences of ${ours} from ${theirs} on ${plural(n, 'point')}${pair.mean === null ? '' : `: mean ${signed(pair.mean)}`}.`,
      height: () => 118,
      margin: {left: 14, right: 14, top: 6, bottom: 38},
      trials: () => spots.map(spot => spot.trial),
      draw(ctx, box) {
        drawX(ctx, box, scale.ticks(clamp(box.w / 90, 2, 7)), `difference of ${sweep.metric}`);
        ctx.strokeStyle = css('soft');
        ctx.lineWidth = 1.5;
        line(ctx, at(box, 0), box.y, at(box, 0), box.y + box.h);
        ctx.globalAlpha = .65;
        ctx.fillStyle = category(names.indexOf(pair.arm));
        for (const spot of spots) drawMark(ctx, 'circle', ...place(box, spot), spots.length > 150 ? 2.2 : 3.6);
        ctx.globalAlpha = 1;
        ctx.strokeStyle = ctx.fillStyle = css('ink');
        ctx.lineWidth = 3;
        const y = box.y + box.h * .86;
        if (pair.interval) line(ctx, at(box, pair.interval[0]), y, at(box, pair.interval[1]), y);
        if (pair.mean !== null) drawMark(ctx, 'circle', at(box, pair.mean), y, 5);
      },
      over(ctx, box, trial) {
        const spot = spots.find((s, i) => s.trial === trial || pair.trials[i][1] === trial.number && trial.place === sweep.place);
        if (!spot) return;
        ctx.fillStyle = css('accent');
        drawMark(ctx, 'circle', ...place(box, spot), 6);
      },
      pick: (x, y, box) => { const spot = nearestOf(spots, s => place(box, s), x, y); return spot && spot.trial; },
    });
    THEMED.push(p.schedule);
    return h('div', {}, h('h3', {}, `${ours} against ${theirs}`),
      h('p', {class: 'note'}, pair.mean === null ? plural(n, 'pair') : `${signed(pair.mean)} on average of ${plural(n, 'pair')}`,
        pair.interval ? ` (95 % interval ${signed(pair.interval[0])} to ${signed(pair.interval[1])})` : '', `; better in ${wins}, equal in ${ties}${pair.lost ? `; ${plural(pair.lost, 'point')} without a result of both` : ''}: `, h('b', {}, verdict), '.'), p.host);
  });
  const text = pairs.length ? 'Each mark is the difference on one point that both arms were tried on; below, their mean with its 95 % interval. One that was pruned is compared after as many epochs as both have.'
    : 'The arms were not tried on the same points, so that only the best and the median of each can be compared.';
  return section('arms', 'Arms', {}, table, h('p', {class: 'note'}, text), h('div', {class: 'columns'}, pairs));
}

function symmetric(pair) {
  const list = [...pair.differences, ...(pair.interval || []), 0].sort((a, b) => a - b);
  const [low, high] = [list[0], list[list.length - 1]], pad = (high - low || 1) * .05;
  return [low - pad, high + pad];
}
function nearestMiddle(list) { return list[Math.floor((list.length - 1) / 2)]; }
function median(values) {
  const list = values.filter(v => v !== null && !Number.isNaN(v)).sort((a, b) => a - b);
  if (!list.length) return null;
  return list.length % 2 ? nearestMiddle(list) : (list[list.length / 2 - 1] + list[list.length / 2]) / 2;
}
