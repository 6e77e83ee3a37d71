// Colours that those who see few of them can tell apart, each with a shape or a text beside it.

const root = document.documentElement;
const isDark = () => root.dataset.theme === 'dark';
let known = {}; // colors of the style sheet in this theme, which charts ask for thousands of times
const css = name => known[name] ||= getComputedStyle(root).getPropertyValue(`--${name}`).trim();

// Viridis, from worst to best: what is best stands out most from the page.
const VIRIDIS = ['#440154', '#482878', '#3e4a89', '#31688e', '#26828e', '#1f9e89', '#35b779', '#6ece58', '#b5de2b', '#fde725'];
const LIGHT_RAMP = VIRIDIS.slice(0, 8).reverse(), DARK_RAMP = VIRIDIS.slice(1);
function ramp(u) {
  const stops = isDark() ? DARK_RAMP : LIGHT_RAMP;
  return stops[Math.min(stops.length - 1, Math.max(0, Math.floor(u * stops.length)))];
}
const rampStyle = () => `background: linear-gradient(90deg, ${(isDark() ? DARK_RAMP : LIGHT_RAMP).join(', ')})`;

// Okabe and Ito's, without the vermilion, which is the highlight's.
const CATEGORIES = {
  light: ['#0072b2', '#b37400', '#007a5a', '#a8568a', '#2a86bd', '#6b6b00', '#444444'],
  dark: ['#56b4e9', '#e69f00', '#2fc79a', '#dd92bb', '#8fd0f5', '#f0e442', '#bbbbbb'],
};
const category = i => { const list = CATEGORIES[isDark() ? 'dark' : 'light']; return list[i % list.length]; };

const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3], [14, 4]];

// The shape of a trial's mark says how it ended.
const SHAPES = {completed: 'circle', pruned: 'triangle', diverged: 'cross', failed: 'plus', interrupted: 'square', paused: 'square', waiting: 'square'};

function drawMark(ctx, shape, x, y, r) {
  ctx.beginPath();
  if (shape === 'circle') ctx.arc(x, y, r, 0, 7);
  else if (shape === 'triangle') { ctx.moveTo(x, y - r * 1.2); ctx.lineTo(x + r * 1.1, y + r * .8); ctx.lineTo(x - r * 1.1, y + r * .8); ctx.closePath(); }
  else if (shape === 'square') ctx.rect(x - r * .85, y - r * .85, r * 1.7, r * 1.7);
  else {
    const [c, s] = shape === 'cross' ? [.75, .75] : [1, 0];
    ctx.moveTo(x - r * c, y - r * s); ctx.lineTo(x + r * c, y + r * s);
    ctx.moveTo(x - r * s, y + r * c); ctx.lineTo(x + r * s, y - r * c);
  }
  if (shape === 'circle') ctx.fill();
  else ctx.stroke();
}

// How trials may be colored.
function colorings(sweep) {
  const list = [['rank', 'rank']];
  if (sweep.severalArms) list.push(['arm', 'arm']);
  if (sweep.severalStages) list.push(['stage', 'stage']);
  if (sweep.statuses.length > 1) list.push(['status', 'status']);
  return list;
}
function colorOf(sweep, trial, by) {
  if (by === 'arm') return category(trial.arm);
  if (by === 'stage') return category(sweep.stages.findIndex(stage => stage.name === trial.stage));
  if (by === 'status') return category(sweep.statuses.indexOf(trial.status));
  return ramp(trial.share);
}
const dashOf = (sweep, trial, by) => by === 'rank' || !by ? [] : DASHES[{
  arm: trial.arm, stage: sweep.stages.findIndex(stage => stage.name === trial.stage), status: sweep.statuses.indexOf(trial.status),
}[by] % DASHES.length];

function swatch(color, dash) {
  return svg('svg', {width: 26, height: 10, 'aria-hidden': 'true'}, svg('line', {x1: 0, x2: 26, y1: 5, y2: 5, stroke: color,
    'stroke-width': 3, 'stroke-dasharray': dash.length ? dash.join(' ') : null}));
}
function shapeIcon(status) {
  const canvas = h('canvas', {width: 28, height: 28, style: 'width:14px;height:14px;vertical-align:-2px;margin-right:4px', 'aria-hidden': 'true'});
  const ctx = canvas.getContext('2d');
  ctx.scale(2, 2);
  ctx.fillStyle = ctx.strokeStyle = css('soft');
  ctx.lineWidth = 1.6;
  drawMark(ctx, SHAPES[status], 7, 7, 4.5);
  return canvas;
}
function legend(sweep, by, {shapes = false} = {}) {
  const entries = by === 'rank' ? [h('span', {}, 'worst ', h('i', {class: 'ramp', style: rampStyle()}), ' best')]
    : (by === 'arm' ? sweep.arms : by === 'stage' ? sweep.stages.map(stage => stage.name) : sweep.statuses)
      .map((name, i) => h('span', {}, swatch(category(i), DASHES[i % DASHES.length]), name));
  const marks = shapes && sweep.statuses.length > 1 ? sweep.statuses.map(status => h('span', {}, shapeIcon(status), status)) : [];
  return h('div', {class: 'legend'}, entries, marks);
}
