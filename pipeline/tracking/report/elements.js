// Elements of the page. Text goes in as text nodes only: whatever a name holds, it is never read as HTML.

const NS = 'http://www.w3.org/2000/svg';

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child instanceof Node ? child : printable(child));
  }
  return element;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(NS, tag), attributes, children);

// Control characters, and those that turn the direction of what follows, as a sign that something stood there.
const printable = text => String(text).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '\ufffd');

let lastId = 0;
const newId = () => `id${++lastId}`;

// A section of the page with its heading.
function section(id, title, {half = false, short = title} = {}, ...children) {
  return h('section', {class: half ? 'card half' : 'card', id, 'aria-labelledby': `${id}-title`, 'data-short': short},
    h('h2', {id: `${id}-title`}, title), children);
}

// A few buttons of which one is pressed.
function choices(label, options, chosen, choose) {
  const buttons = options.map(([value, text]) => h('button', {type: 'button', 'aria-pressed': String(value === chosen),
    onclick: () => {
      buttons.forEach((button, i) => button.setAttribute('aria-pressed', String(options[i][0] === value)));
      choose(value);
    }}, text));
  return h('span', {class: 'choices', role: 'group', 'aria-label': label}, buttons);
}

function select(label, options, chosen, choose) {
  const list = h('select', {onchange: () => choose(options[list.selectedIndex][0])},
    options.map(([value, text]) => h('option', {selected: value === chosen}, text)));
  return h('label', {}, label, list);
}

// A number for reading: four digits that matter.
function num(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  if (typeof value !== 'number') return printable(value);
  if (value === 0) return '0'; // which may be -0
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return value.toLocaleString('en');
  const short = Number(value.toPrecision(digits));
  if (short !== 0 && (Math.abs(short) < 1e-4 || Math.abs(short) >= 1e7)) return short.toExponential().replace('e+', 'e');
  return String(short);
}
// A metric, as the leaderboard in the terminal shows it.
const metric = value => value === null || value === undefined || Number.isNaN(value) ? '–'
  : Math.abs(value) >= 1e4 ? num(value) : value.toFixed(4);
const signed = value => (value > 0 ? '+' : value < 0 ? '−' : '') + metric(Math.abs(value));

function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return '–';
  if (seconds < 1) return `${num(seconds, 2)} s`;
  if (seconds < 60) return `${num(seconds, 3)} s`;
  const minutes = Math.round(seconds / 60);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
const plural = (n, word) => `${n.toLocaleString('en')} ${word}${n === 1 ? '' : 's'}`;
const ordinal = n => n + (n % 100 > 10 && n % 100 < 14 ? 'th' : {1: 'st', 2: 'nd', 3: 'rd'}[n % 10] || 'th');

// A name that may go on in the next line behind a dot or an underscore, and nowhere else.
const breakable = text => printable(text).split(/(?<=[._/=])/).flatMap((part, i) => i ? [h('wbr'), part] : [part]);

const rowHead = (key, ...more) => h('th', {scope: 'row', class: String(key).length > 40 ? 'long' : null}, breakable(key), more);

// Rows of heading and value.
const facts = rows => h('table', {class: 'facts'}, h('tbody', {}, rows.map(([key, value]) =>
  h('tr', {}, rowHead(key), h('td', {}, value)))));
