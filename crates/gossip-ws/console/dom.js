// What the modules share about the page: finding parts, cloning templates, and writing text. Text of users goes through
// `textContent` and nothing else, so it never becomes markup; a test keeps every other way out of this folder.

const SVG = 'http://www.w3.org/2000/svg';

export const byId = (id) => document.getElementById(id);

/** The element of a clone that carries `data-part=name`. */
export const part = (root, name) => root.querySelector(`[data-part="${name}"]`);

/** The first element of a template, as a copy. */
export const clone = (id) => byId(id).content.firstElementChild.cloneNode(true);

/** An element with a class and a text. */
export function element(tag, className = '', text = '') {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

export function svg(tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** Writes only what differs: a text that is written again would be announced again, and lose a selection. */
export function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Shows what a button opens, or hides it. */
export function toggle(button, target, open = target.hidden) {
  target.hidden = !open;
  button.setAttribute('aria-expanded', String(open));
}

/** A random UUID. `crypto.randomUUID` would do, but is only there over https and on this machine. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** Enough of a UUID to tell people apart: v7 ids of one day begin alike, so it is the end. */
export const short = (id) => id.slice(-6);

const NIL = '00000000-0000-0000-0000-000000000000';

/** Who an id is, to the one who reads. */
export function personName(id, me) {
  if (id === me) return 'You';
  return id === NIL ? 'The server' : `User ${short(id)}`;
}

const UNITS = [['d', 86_400], ['h', 3600], ['min', 60], ['s', 1]];

/** Seconds as the two largest units: `23 h 59 min`, `4 min 5 s`. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const first = UNITS.findIndex(([, size]) => whole >= size);
  if (first < 0) return '0 s';
  const [[unit, size], next] = [UNITS[first], UNITS[first + 1]];
  const rest = next ? Math.floor((whole % size) / next[1]) : 0;
  return `${Math.floor(whole / size)} ${unit}${rest ? ` ${rest} ${next[0]}` : ''}`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

export const clock = (time) => CLOCK.format(new Date(time));

/** How long ago a time of the server's is. Clocks differ, so what lies ahead is now. */
export function ago(time, now = Date.now()) {
  const seconds = (now - Date.parse(time)) / 1000;
  if (seconds < 10) return 'just now';
  if (seconds < 60) return 'less than a minute ago';
  const unit = UNITS.find(([, size]) => seconds >= size);
  return `${Math.floor(seconds / unit[1])} ${unit[0]} ago`;
}

/** Puts a time into a `<time>`: relative to read, exact to point at. */
export function writeTime(target, time) {
  write(target, ago(time));
  if (target.dateTime === time) return;
  target.dateTime = time;
  target.title = FULL.format(new Date(time));
}

/** Says something to screen readers, the latest of what comes within a second. */
let spoken;
export function announce(text) {
  clearTimeout(spoken);
  spoken = setTimeout(() => write(byId('announcer'), text), 1000);
}

/** Tells something that belongs nowhere else; it goes by itself, or by its button. */
export function notify(text) {
  const toast = element('div', 'toast');
  const close = element('button', 'quiet', 'Dismiss');
  close.type = 'button';
  close.addEventListener('click', () => toast.remove());
  toast.append(element('p', '', text), close);
  const all = byId('notices');
  all.append(toast);
  while (all.childElementCount > 3) all.firstElementChild.remove();
  setTimeout(() => toast.contains(document.activeElement) || toast.remove(), 10_000);
}
