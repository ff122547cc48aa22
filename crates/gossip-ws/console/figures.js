// The second view: the server's own figures, asked for once a second while they are looked at, as charts and as a table.
import { byId, duration, element, write } from './dom.js';
import { Chart } from './chart.js';
import { sentence } from './forms.js';

const SPAN_MS = 300_000;
const EVERY_MS = 1000;
const ROW_MS = 10_000;
const PATIENCE_MS = 5000;

const digits = (most) => new Intl.NumberFormat(undefined, { maximumFractionDigits: most });
const [whole, tenths, hundredths] = [digits(0), digits(1), digits(2)];
const number = (value) => (value >= 100 ? whole : value >= 10 ? tenths : hundredths).format(value);
const compact = new Intl.NumberFormat(undefined, { notation: 'compact', maximumSignificantDigits: 3 });
const axis = (value) => (value >= 1000 ? compact.format(value) : hundredths.format(value));

const CONNECTIONS = { label: 'Connections', of: (sample) => sample.activeConnections };
const MESSAGES = { label: 'Messages a second', of: (sample) => sample.messagesPerSecond };
const LATENCIES = ['p50', 'p95', 'p99'].map((label) => ({ label, of: (sample) => sample.latency[label] }));
const ERRORS = { label: 'Errors', of: (sample) => sample.errorRate * 100 };
const MEMORY = { label: 'Memory', of: (sample) => sample.memoryBytes / 2 ** 20 };

const milliseconds = (value) => `${number(value)} ms`;
const percent = (value) => `${number(value)} %`;
const mebibytes = (value) => `${number(value)} MiB`;

const CHARTS = [
  { title: 'Connections', series: [CONNECTIONS], format: (value) => whole.format(value), least: 4 },
  { title: 'Messages a second', series: [MESSAGES], format: number, least: 1 },
  { title: 'Latency, from a command to its ack', series: LATENCIES, format: milliseconds, least: 1, isWide: true },
  { title: 'Commands refused', series: [ERRORS], format: percent, least: 1 },
  { title: 'Memory', series: [MEMORY], format: mebibytes, least: 10 },
];
const COLUMNS = [
  [CONNECTIONS, number], [MESSAGES, number], ...LATENCIES.map(({ label, of }) => [{ label: `Latency ${label}`, of }, milliseconds]), [ERRORS, percent], [MEMORY, mebibytes],
];
const TILES = [
  ['Connected now', (sample) => whole.format(sample.activeConnections)],
  ['Users', (sample) => whole.format(sample.usersConnected)],
  ['Rooms', (sample) => whole.format(sample.roomsSubscribed)],
  ['Connections so far', (sample) => whole.format(sample.totalConnections)],
  ['Running for', (sample) => duration(sample.uptimeSeconds)],
];

export class Figures {
  #context;
  #samples = [];
  #charts;
  #tiles;
  #timer;
  #isShown = false;
  #refused = null;

  constructor(context) {
    this.#context = context;
    this.#charts = CHARTS.map((options) => {
      const chart = new Chart({ axis, ...options });
      if (options.isWide) chart.element.classList.add('wide');
      byId('charts').append(chart.element);
      return chart;
    });
    this.#tiles = TILES.map(([label, of]) => {
      const tile = element('div', 'tile');
      const value = element('dd', '', '–');
      tile.append(element('dt', '', label), value);
      byId('tiles').append(tile);
      return [value, of];
    });
    const table = byId('figures-table');
    for (const title of ['Time', ...COLUMNS.map(([{ label }]) => label)]) {
      const cell = element('th', '', title);
      cell.scope = 'col';
      table.querySelector('thead tr').append(cell);
    }
    table.addEventListener('toggle', () => this.#tabulate());
    document.addEventListener('visibilitychange', () => this.#again());
  }

  show() {
    this.#isShown = true;
    this.#refused = this.#context.session.maySeeFigures ? null : 'These figures are for admins and services. Sign in with such a token to see them.';
    this.#again();
  }

  hide() {
    this.#isShown = false;
    clearTimeout(this.#timer);
  }

  #again() {
    clearTimeout(this.#timer);
    this.#notice(this.#refused);
    if (this.#isShown && !document.hidden && !this.#refused) this.#round();
  }

  async #round() {
    const began = performance.now();
    // Without a connection there is nobody to ask, and the gap in the lines says so.
    if (this.#context.connection.state === 'online') await this.#ask();
    this.#draw();
    clearTimeout(this.#timer);
    if (!this.#isShown || document.hidden || this.#refused) return;
    this.#timer = setTimeout(() => this.#round(), Math.max(100, EVERY_MS - (performance.now() - began)));
  }

  async #ask() {
    const { token } = this.#context.session;
    try {
      const headers = { Authorization: `Bearer ${token}` };
      const answer = await fetch('v1/stats', { headers, cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS) });
      const body = await answer.json();
      if (answer.ok) this.#samples.push({ ...body, at: Date.now() });
      else if (answer.status === 401 || answer.status === 403) this.#refused = sentence(body.message);
    } catch {
      // The connection notices as well, and says so.
    }
    this.#notice(this.#refused);
  }

  #notice(text) {
    write(byId('figures-notice'), text ?? '');
    byId('figures-notice').hidden = !text;
    byId('tiles').hidden = byId('charts').hidden = byId('figures-table').hidden = Boolean(text);
  }

  #draw() {
    const now = Date.now();
    this.#samples = this.#samples.filter(({ at }) => now - at < SPAN_MS);
    this.#charts.forEach((chart) => chart.draw(this.#samples, now));
    const last = this.#samples.at(-1);
    if (last) for (const [value, of] of this.#tiles) write(value, of(last));
    this.#tabulate();
  }

  /** One row for ten seconds, made only where someone reads it. */
  #tabulate() {
    const table = byId('figures-table');
    if (!table.open) return;
    const rows = this.#samples.filter(({ at }, index, all) => {
      const before = all[index - 1];
      return !before || Math.floor(at / ROW_MS) !== Math.floor(before.at / ROW_MS);
    });
    const body = table.querySelector('tbody');
    const newest = String(rows.at(-1)?.at ?? '');
    if (body.dataset.newest === newest) return;
    body.dataset.newest = newest;
    body.replaceChildren(...rows.reverse().map((sample) => {
      const row = element('tr');
      const time = element('th', '', new Date(sample.at).toLocaleTimeString());
      time.scope = 'row';
      row.append(time, ...COLUMNS.map(([{ of }, format]) => element('td', '', format(of(sample)))));
      return row;
    }));
  }
}
