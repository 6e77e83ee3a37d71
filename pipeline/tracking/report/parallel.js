// Parallel coordinates: an axis a parameter, each on its own scale, and the metric last. Dragging on an axis brushes:
// all other charts and the table show the trials in its range. On a narrow screen the axes lie.

function parallelSection(sweep) {
  const places = [...varied(sweep), -1];
  if (places.length < 3) return null;
  const scored = sweep.trials.filter(trial => trial.score !== null);
  if (!scored.length) return null;
  const state = {by: 'rank', drag: null};
  const axisOf = a => a < 0 ? {name: sweep.metric, key: sweep.metric, scale: 'linear', tier: null} : sweep.axes[a];
  const ticks = a => a < 0 ? scoreScale(sweep).ticks(6) : ticksOf(sweep.axes[a]);
  const lying = box => box.width < 560;
  const at = (box, k, u) => {
    const step = k / (places.length - 1);
    return lying(box) ? [box.x + box.w * u, box.y + box.h * step] : [box.x + box.w * step, box.y + box.h * (1 - u)];
  };
  const spot = (trial, a) => {
    const u = placeOf(trial, a);
    if (a < 0 || sweep.axes[a].scale !== 'choice') return u;
    return u + .14 * jitter(trial.number) / sweep.axes[a].choices.length;
  };
  // Over an axis that a trial has no value on, as arms have parameters of their own, the line goes dotted.
  const trace = (ctx, box, trial) => {
    const bridges = [];
    let before = null, last = -1;
    ctx.beginPath();
    places.forEach((a, k) => {
      const u = spot(trial, a);
      if (Number.isNaN(u)) return;
      const point = at(box, k, u);
      if (last === k - 1 && before) ctx.lineTo(...point);
      else {
        if (before) bridges.push([before, point]);
        ctx.moveTo(...point);
      }
      [before, last] = [point, k];
    });
    ctx.stroke();
    if (!bridges.length) return;
    const dash = ctx.getLineDash();
    ctx.setLineDash([1, 5]);
    bridges.forEach(([from, to]) => line(ctx, ...from, ...to));
    ctx.setLineDash(dash);
  };
  const p = plot({
    label: () => `Parallel coordinates of ${scored.length} trials: ${places.map(a => axisOf(a).name).join(', ')}. ${brushText(sweep)}`,
    width: available => available < 560 ? available : Math.max(available, 100 * places.length),
    height: width => width < 560 ? 74 * places.length : 380,
    margin: width => width < 560 ? {left: 14, right: 14, top: 34, bottom: 30} : {left: 54, right: 74, top: 44, bottom: 14},
    trials: () => scored.filter(inside),
    draw(ctx, box) {
      const many = scored.length > 150;
      ctx.lineWidth = many ? 1 : 1.4;
      for (const on of isBrushed() ? [false, true] : [true]) {
        for (let i = scored.length - 1; i >= 0; i--) {
          if (isBrushed() && inside(scored[i]) !== on) continue;
          ctx.strokeStyle = on ? colorOf(sweep, scored[i], state.by) : css('faint');
          ctx.globalAlpha = on ? opacity(scored.length, scored[i].share) : .25;
          ctx.setLineDash(dashOf(sweep, scored[i], state.by));
          trace(ctx, box, scored[i]);
        }
      }
      ctx.globalAlpha = 1;
      ctx.setLineDash([]);
      if (sweep.best) {
        drawAbove(ctx, 'win', () => trace(ctx, box, sweep.best));
      }
      places.forEach((a, k) => drawAxis(ctx, box, a, k));
    },
    over(ctx, box, trial) {
      if (trial.place !== sweep.place) return;
      drawAbove(ctx, 'accent', () => trace(ctx, box, trial));
      ctx.fillStyle = css('accent');
      places.forEach((a, k) => {
        const u = spot(trial, a);
        if (!Number.isNaN(u)) drawMark(ctx, 'circle', ...at(box, k, u), 4);
      });
    },
    pick(x, y, box) {
      const along = lying(box) ? (y - box.y) / box.h : (x - box.x) / box.w, across = lying(box) ? 0 : 1;
      const k = clamp(Math.floor(along * (places.length - 1)), 0, places.length - 2), f = along * (places.length - 1) - k;
      let best = null, nearest = 12;
      for (const trial of scored) {
        if (!inside(trial)) continue;
        const [u, v] = [spot(trial, places[k]), spot(trial, places[k + 1])];
        if (Number.isNaN(u) || Number.isNaN(v)) continue;
        const first = at(box, k, u)[across], second = at(box, k + 1, v)[across];
        const d = Math.abs(first + f * (second - first) - (across ? y : x));
        if (d < nearest) { nearest = d; best = trial; }
      }
      return best;
    },
  });
  // Between axes that lie, words stand among the lines of all trials: on a ground of their own.
  function backed(ctx, text, x, y, width) {
    const ink = ctx.fillStyle;
    ctx.fillStyle = css('card');
    ctx.fillRect(x - 4, y - 2, width + 8, 17);
    ctx.fillStyle = ink;
    ctx.textAlign = 'left';
    ctx.textBaseline = 'top';
    ctx.fillText(text, x, y);
  }
  function drawAxis(ctx, box, a, k) {
    const axis = axisOf(a), [x1, y1] = at(box, k, 0), [x2, y2] = at(box, k, 1), lies = lying(box);
    ctx.strokeStyle = css('soft');
    ctx.lineWidth = 1.2;
    line(ctx, x1, y1, x2, y2);
    const range = selection.ranges.get(a);
    if (range) {
      const [bx1, by1] = at(box, k, range[0]), [bx2, by2] = at(box, k, range[1]);
      ctx.strokeStyle = ctx.fillStyle = css('accent');
      ctx.globalAlpha = .22;
      if (lies) ctx.fillRect(bx1, by1 - 11, bx2 - bx1, 22);
      else ctx.fillRect(bx1 - 11, by2, 22, by1 - by2);
      ctx.globalAlpha = 1;
      ctx.lineWidth = 2;
      if (lies) ctx.strokeRect(bx1, by1 - 11, bx2 - bx1, 22);
      else ctx.strokeRect(bx1 - 11, by2, 22, by1 - by2);
    }
    let last = -Infinity;
    for (const [u, text, note] of [...ticks(a)].sort((one, other) => one[0] - other[0])) {
      const [x, y] = at(box, k, u);
      ctx.fillStyle = css('ink');
      if (lies) {
        const width = ctx.measureText(text).width, centre = clamp(x, width / 2 + 1, box.width - width / 2 - 1);
        if (centre - width / 2 < last + 8) continue;
        last = centre + width / 2;
        backed(ctx, text, centre - width / 2, y + 5, width);
      } else {
        if (k && Math.abs(y - last) < 14) continue;
        last = y;
        ctx.textAlign = 'left';
        ctx.textBaseline = 'middle';
        const room = box.w / (places.length - 1);
        haloText(ctx, fitted(ctx, note && room > 130 ? `${text} · ${note}` : text, k < places.length - 1 ? room - 14 : 64), x + 6, y);
      }
      ctx.strokeStyle = css('soft');
      ctx.lineWidth = 1.2;
      if (lies) line(ctx, x, y - 3, x, y + 3);
      else line(ctx, x - 3, y, x + 3, y);
    }
    ctx.fillStyle = css('ink');
    ctx.font = `600 ${FONT}`;
    const notes = [axis.tier ? `tier ${axis.tier}` : '', axis.scale === 'log' ? 'log' : axis.scale === 'one_minus_log' ? 'log 1−x' : ''].filter(Boolean).join(', ');
    if (lies) {
      const text = fitted(ctx, axis.name + (notes ? `, ${notes}` : ''), box.w);
      backed(ctx, text, box.x, y1 - 26, ctx.measureText(text).width);
    } else {
      const room = box.w / (places.length - 1) - 8;
      ctx.textAlign = k === 0 ? 'left' : k === places.length - 1 ? 'right' : 'center';
      ctx.textBaseline = 'alphabetic';
      const x = k === 0 ? 4 : k === places.length - 1 ? box.width - 4 : x1;
      ctx.fillText(fitted(ctx, axis.name, k === 0 || k === places.length - 1 ? room / 2 + 50 : room), x, 16);
      ctx.font = FONT;
      ctx.fillStyle = css('soft');
      ctx.fillText(notes, x, 31);
    }
    ctx.font = FONT;
  }
  enableBrush(p, places, at, lying);

  const legends = h('div'), count = h('span', {class: 'soft', role: 'status'});
  const clear = h('button', {type: 'button', onclick: clearBrush}, 'Clear the brush');
  const show = () => {
    legends.replaceChildren(legend(sweep, state.by));
    p.schedule();
  };
  const tell = () => {
    clear.disabled = !isBrushed();
    count.textContent = brushText(sweep);
  };
  tell();
  show();
  THEMED.push(show);
  selection.brushListeners.push(tell);
  return section('parallel', 'Parallel coordinates', {short: 'Parallel'}, h('figure', {},
    h('figcaption', {}, 'A line a trial. Drag along an axis to see only trials in that range, here, in every chart and in the table; a tap on the axis takes the range away. A line is dotted over an axis that its trial has no value on.'),
    h('div', {class: 'controls'},
      colorings(sweep).length > 1 ? select('color', colorings(sweep), 'rank', by => { state.by = by; show(); }) : null, clear, count),
    legends, h('div', {class: 'wide'}, p.host),
    h('details', {}, h('summary', {}, 'Ranges as sliders'), rangeFields(sweep, places, axisOf))));
}

function brushText(sweep) {
  if (!isBrushed()) return `${plural(sweep.trials.length, 'trial')}, none left out`;
  return `${sweep.trials.filter(inside).length.toLocaleString('en')} of ${plural(sweep.trials.length, 'trial')} in the brush`;
}

function enableBrush(p, places, at, lying) {
  const {host} = p;
  const share = (event, k) => {
    const r = host.getBoundingClientRect(), [x0, y0] = at(p.box, k, 0), [x1, y1] = at(p.box, k, 1);
    const u = lying(p.box) ? (event.clientX - r.left - x0) / (x1 - x0) : (event.clientY - r.top - y0) / (y1 - y0);
    return clamp(u, 0, 1);
  };
  const near = event => {
    const r = host.getBoundingClientRect();
    return places.findIndex((_, k) => {
      const [x, y] = at(p.box, k, 0);
      return Math.abs(lying(p.box) ? event.clientY - r.top - y : event.clientX - r.left - x) < 16;
    });
  };
  const fit = () => { host.style.touchAction = p.box && lying(p.box) ? 'pan-y' : 'pan-x'; };
  host.addEventListener('pointerdown', event => {
    const k = p.box ? near(event) : -1;
    fit();
    if (k < 0 || event.button) return;
    const begin = share(event, k);
    p.busy = true;
    let moved = false;
    host.setPointerCapture(event.pointerId);
    const move = e => {
      const now = share(e, k);
      if (!moved && Math.abs(now - begin) < .015) return;
      moved = true;
      brush(places[k], [Math.min(begin, now), Math.max(begin, now)]);
    };
    const end = () => {
      host.removeEventListener('pointermove', move);
      host.removeEventListener('pointerup', end);
      host.removeEventListener('pointercancel', end);
      p.busy = false;
      p.dragged = moved || selection.ranges.has(places[k]);
      if (!moved) brush(places[k], null);
      setTimeout(() => { p.dragged = false; }, 0);
    };
    host.addEventListener('pointermove', move);
    host.addEventListener('pointerup', end);
    host.addEventListener('pointercancel', end);
  });
}

// The brush for the keyboard and for small screens: two sliders an axis.
function rangeFields(sweep, places, axisOf) {
  return h('div', {class: 'fields'}, places.map(a => {
    const axis = axisOf(a), told = h('output', {});
    const at = u => {
      if (a < 0) { const s = scoreScale(sweep); return metric(s.low + u * (s.high - s.low)); }
      const c = axis.low + u * (axis.high - axis.low);
      if (axis.scale === 'choice') return axis.choices[clamp(Math.round(c), 0, axis.choices.length - 1)];
      if (axis.scale === 'log') return num(10 ** c, 3);
      if (axis.scale === 'one_minus_log') return num(1 - 10 ** -c, 5);
      if (axis.scale === 'linear') return num(c, 3);
      return `${Math.round(100 * u)} %`;
    };
    const inputs = ['from', 'to'].map((word, i) => h('input', {type: 'range', min: 0, max: 200, value: i * 200,
      'aria-label': `${axis.name} ${word}`, oninput: () => {
        const [low, high] = inputs.map(input => input.value / 200);
        brush(a, low <= 0 && high >= 1 ? null : [Math.min(low, high), Math.max(low, high)]);
      }}));
    const show = () => {
      const range = selection.ranges.get(a) || [0, 1];
      inputs.forEach((input, i) => {
        if (document.activeElement !== input) input.value = range[i] * 200;
        input.setAttribute('aria-valuetext', at(range[i]));
      });
      told.textContent = selection.ranges.has(a) ? `${at(range[0])} to ${at(range[1])}` : 'all';
    };
    show();
    selection.brushListeners.push(show);
    return h('fieldset', {}, h('legend', {}, axis.name), inputs, told);
  }));
}
