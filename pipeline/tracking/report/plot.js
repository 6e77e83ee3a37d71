// A chart on canvas: what rarely changes below, what is highlighted above. It answers to pointer and keyboard.

const PLOTS = [];
const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

// options: label(): in words; height(width); draw(ctx, box): the lower layer; over(ctx, box, trial): the highlight;
// pick(x, y, box): the trial there; trials(): in the order of the keys; margin; width(host): of a chart that scrolls.
function plot(options) {
  const base = h('canvas', {class: 'base'}), top = h('canvas', {class: 'over'});
  const focusable = Boolean(options.pick);
  const host = h('div', focusable ? {class: 'plot', role: 'slider', tabindex: 0, 'aria-valuemin': 1} : {class: 'plot', role: 'img'}, base, top);
  const p = {host, options, box: null, width: 0};
  const paint = () => {
    if (!p.box) return;
    const ctx = prepare(base, p);
    options.draw(ctx, p.box);
    host.setAttribute('aria-label', options.label());
    p.over();
  };
  p.over = () => {
    if (!p.box) return;
    const ctx = prepare(top, p), trial = current();
    if (trial && options.over) options.over(ctx, p.box, trial);
    if (focusable) describe(trial);
  };
  const describe = trial => {
    const list = options.trials(), at = trial ? list.indexOf(trial) : -1;
    host.setAttribute('aria-valuemax', Math.max(list.length, 1));
    host.setAttribute('aria-valuenow', at + 1 || 1);
    host.setAttribute('aria-valuetext', at < 0 ? `${list.length} trials; arrow keys go from the best to the worst` : inWords(trial));
  };
  p.repaint = paint;
  let scheduled = false;
  p.schedule = () => {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => { scheduled = false; paint(); });
  };
  p.layout = () => {
    const width = Math.floor(options.width ? options.width(host.parentElement.clientWidth) : host.clientWidth);
    if (!width) return;
    const height = options.height(width), m = typeof options.margin === 'function' ? options.margin(width) : options.margin;
    p.width = width;
    p.height = height;
    if (options.width) host.style.width = `${width}px`;
    host.style.height = `${height}px`;
    p.box = {x: m.left, y: m.top, w: width - m.left - m.right, h: height - m.top - m.bottom, width, height};
    paint();
  };
  if (focusable) {
    const at = event => { const r = host.getBoundingClientRect(); return [event.clientX - r.left, event.clientY - r.top]; };
    host.addEventListener('pointermove', event => { if (p.box && !p.busy) highlight(options.pick(...at(event), p.box)); });
    host.addEventListener('pointerleave', () => { if (!p.busy) highlight(null); });
    host.addEventListener('click', event => {
      if (p.busy || p.dragged) { p.dragged = false; return; }
      const trial = options.pick(...at(event), p.box);
      if (trial) pin(trial);
    });
    host.addEventListener('keydown', event => { if (!event.defaultPrevented) moveBy(event, options.trials()); });
    host.addEventListener('blur', () => highlight(null));
  }
  PLOTS.push(p);
  new ResizeObserver(() => {
    const width = Math.floor(options.width ? options.width(host.parentElement.clientWidth) : host.clientWidth);
    if (width !== p.width) p.layout();
  }).observe(options.width ? host.parentElement || host : host);
  return p;
}

function prepare(canvas, {width, height}) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const ctx = canvas.getContext('2d');
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.font = FONT;
  ctx.lineJoin = 'round';
  return ctx;
}

// Numbers along an axis. domain: [low, high]; log: whether decades are even.
function numeric(low, high, log) {
  if (log) { low = Math.log10(low); high = Math.log10(high); }
  if (!(high > low)) { low -= .5; high += .5; }
  const scale = {
    log, low, high,
    u: value => ((log ? Math.log10(value) : value) - low) / (high - low),
    ticks(n) {
      if (!log) return niceTicks(low, high, n).map(v => [scale.u(v), num(v)]);
      const list = [], factors = high - low < 1.7 ? [1, 2, 5] : [1], every = Math.max(1, Math.ceil((high - low) / n));
      for (let e = Math.floor(low); e <= high; e++) {
        if (factors.length === 1 && (e - Math.floor(low)) % every) continue;
        for (const f of factors) {
          const c = e + Math.log10(f);
          if (c >= low - 1e-9 && c <= high + 1e-9) list.push([(c - low) / (high - low), num(f * 10 ** e, 3)]);
        }
      }
      return list.length > 1 ? list : [[0, num(10 ** low, 3)], [1, num(10 ** high, 3)]];
    },
  };
  return scale;
}
function niceTicks(low, high, n) {
  const raw = (high - low) / Math.max(n, 1), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(f => f * power).find(s => s >= raw * .7);
  const list = [];
  for (let i = Math.ceil(low / step - 1e-9); i <= Math.floor(high / step + 1e-9); i++) list.push(i * step);
  return list;
}

// The ends of what is to be seen of many values: a few that ran away do not flatten the others.
function ends(values, log) {
  const list = Float64Array.from(values.filter(v => Number.isFinite(v) && (!log || v > 0))).sort();
  if (!list.length) return log ? [.1, 1] : [0, 1];
  const at = q => list[Math.min(list.length - 1, Math.max(0, Math.round(q * (list.length - 1))))];
  let [low, high] = [list[0], list[list.length - 1]];
  if (log) return low === high ? [low / 2, high * 2] : [Math.max(low, at(.01) / 100), Math.min(high, at(.99) * 3)];
  const middle = at(.95) - at(.05);
  if (middle > 0) { low = Math.max(low, at(.05) - 1.5 * middle); high = Math.min(high, at(.95) + 1.5 * middle); }
  const pad = (high - low || Math.abs(high) || 1) * .04;
  const shares = list[0] >= 0 && list[list.length - 1] <= 1; // an accuracy is no more than 1
  return shares ? [Math.max(low - pad, 0), Math.min(high + pad, 1)] : [low - pad, high + pad];
}
const clamp = (v, low, high) => Math.min(Math.max(v, low), high);

// Lines of a grid with their texts. ticks: [share, text, note].
function drawY(ctx, box, ticks, title) {
  ctx.lineWidth = 1;
  ctx.textAlign = 'right';
  ctx.textBaseline = 'middle';
  for (const [u, text] of ticks) {
    const y = Math.round(box.y + box.h * (1 - u)) + .5;
    ctx.strokeStyle = css('grid');
    line(ctx, box.x, y, box.x + box.w, y);
    ctx.fillStyle = css('soft');
    ctx.fillText(text, box.x - 6, y);
  }
  if (title) {
    ctx.textAlign = 'left';
    ctx.textBaseline = 'alphabetic';
    ctx.fillStyle = css('soft');
    ctx.fillText(fitted(ctx, title, box.x + box.w - 4), 2, 11);
  }
}
function drawX(ctx, box, ticks, title) {
  ctx.lineWidth = 1;
  ctx.textAlign = 'center';
  ctx.textBaseline = 'top';
  let right = -Infinity;
  for (const [u, whole, note] of [...ticks].sort((a, b) => a[0] - b[0])) {
    const x = Math.round(box.x + box.w * u) + .5, text = fitted(ctx, whole, box.w / 2);
    ctx.strokeStyle = css('grid');
    line(ctx, x, box.y, x, box.y + box.h + 4);
    const width = Math.max(ctx.measureText(text).width, note ? ctx.measureText(note).width : 0);
    const at = clamp(x, width / 2, box.width - width / 2);
    if (at - width / 2 < right + 8) continue;
    right = at + width / 2;
    ctx.fillStyle = css('soft');
    ctx.fillText(text, at, box.y + box.h + 7);
    if (note) ctx.fillText(note, at, box.y + box.h + 21);
  }
  ctx.strokeStyle = css('line');
  line(ctx, box.x, box.y + box.h + .5, box.x + box.w, box.y + box.h + .5);
  if (title) {
    ctx.fillStyle = css('soft');
    ctx.textAlign = 'right';
    ctx.textBaseline = 'bottom';
    ctx.fillText(fitted(ctx, title, box.w), box.x + box.w, box.height - 1);
  }
}
function line(ctx, x1, y1, x2, y2) {
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x2, y2);
  ctx.stroke();
}
function fitted(ctx, text, width) {
  text = printable(text);
  if (ctx.measureText(text).width <= width) return text;
  while (text.length > 1 && ctx.measureText(`${text}…`).width > width) text = text.slice(0, -1);
  return `${text}…`;
}
// Of many lines the best are seen among the others.
const opacity = (n, share) => n > 150 ? clamp(100 / n, .2, .4) + .5 * share ** 3 : .85;
// A line that is seen above others, whatever their colors.
function drawAbove(ctx, color, trace) {
  for (const [width, of] of [[6, 'card'], [3, color]]) {
    ctx.lineWidth = width;
    ctx.strokeStyle = css(of);
    trace();
  }
}
// Text on what is drawn, readable whatever lies below.
function haloText(ctx, text, x, y) {
  ctx.lineWidth = 4;
  ctx.setLineDash([]);
  ctx.strokeStyle = css('card');
  ctx.strokeText(text, x, y);
  ctx.fillText(text, x, y);
}
// The name of the highlighted trial beside its mark.
function drawName(ctx, box, trial, x, y) {
  ctx.font = `600 ${FONT}`;
  ctx.fillStyle = css('accent');
  const text = `trial ${trial.number}`, width = ctx.measureText(text).width;
  ctx.textAlign = 'left';
  ctx.textBaseline = 'middle';
  haloText(ctx, text, x + 9 + width > box.width ? x - 9 - width : x + 9, clamp(y, 8, box.height - 8));
  ctx.font = FONT;
}
const ticksOf = axis => axis.ticks.map(([at, text, note]) => [share(axis, at), text, note]);
// A steady shift of marks that would lie on each other, from -1 to 1.
const jitter = (number, step = .618034) => ((number * step) % 1) * 2 - 1;
