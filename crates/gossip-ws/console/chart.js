// A line chart of the last minutes, drawn as SVG: no more than the figures need. The same can be read without seeing it:
// a summary as its label, single moments by the arrow keys, and a table beside (figures.js).
import { clone, element, part, svg, write } from './dom.js';

const HEIGHT = 150;
const MARGIN = { top: 10, right: 10, bottom: 22, left: 44 };
/** A line across more than this would claim to know what nobody measured. */
const GAP_MS = 4000;
/** What the width stands for: more as there is more, so that a new page is not a blank one. */
const SPANS_MS = [60_000, 120_000, 300_000];

/** The smallest 1, 2, 4, 6 or 8 times a power of ten that is not below `value`: half of it is as round. */
export function niceMaximum(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= value * 0.9999) ?? 1;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });

export class Chart {
  #options;
  #svg = svg('svg', { 'aria-hidden': 'true' });
  #lines;
  #samples = [];
  #width = 0;
  #now = Date.now();
  #cursor = null;
  #spanMs = SPANS_MS[0];

  /**
   * `series`: `{label, of(sample)}` each; `format` writes a value with its
   * unit, `axis` without; `least`: the smallest top of the scale.
   */
  constructor(options) {
    this.#options = options;
    this.element = clone('chart-template');
    write(part(this.element, 'title'), options.title);
    this.#lines = options.series.map((_, index) => svg('path', { class: `line line-${index}` }));
    if (options.series.length > 1) this.#legend();
    this.plot = part(this.element, 'plot');
    this.plot.setAttribute('aria-description', 'The arrow keys read single moments.');
    this.plot.append(this.#svg);
    new ResizeObserver(([{ contentRect }]) => {
      this.#width = Math.floor(contentRect.width);
      this.draw(this.#samples, this.#now);
    }).observe(this.plot);
    this.#listen();
  }

  #legend() {
    const legend = part(this.element, 'legend');
    legend.hidden = false;
    this.#options.series.forEach(({ label }, index) => {
      const mark = svg('svg', { width: 22, height: 8, 'aria-hidden': 'true' });
      mark.append(svg('path', { class: `line line-${index}`, d: 'M1 4H21' }));
      const item = element('li');
      item.append(mark, element('span', '', label));
      legend.append(item);
    });
  }

  #listen() {
    const reading = part(this.element, 'reading');
    this.plot.addEventListener('pointermove', ({ offsetX }) => this.#pointAt(this.#nearest(offsetX)));
    this.plot.addEventListener('pointerleave', () => this.#pointAt(null));
    this.plot.addEventListener('blur', () => {
      reading.removeAttribute('aria-live');
      this.#pointAt(null);
    });
    this.plot.addEventListener('focus', () => reading.setAttribute('aria-live', 'polite'));
    this.plot.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
      if (step === undefined || !this.#samples.length) return;
      event.preventDefault();
      const last = this.#samples.length - 1;
      const from = this.#cursor === null ? last + (step < 0 ? 1 : 0) : this.#samples.indexOf(this.#cursor);
      this.#pointAt(this.#samples[Math.min(last, Math.max(0, from + step))]);
    });
  }

  #pointAt(sample) {
    this.#cursor = sample ?? null;
    this.draw(this.#samples, this.#now);
  }

  #x(at) {
    const { left, right } = MARGIN;
    return left + (this.#width - left - right) * (1 - (this.#now - at) / this.#spanMs);
  }

  #nearest(x) {
    const far = (sample) => Math.abs(this.#x(sample.at) - x);
    return this.#samples.reduce((best, sample) => (!best || far(sample) < far(best) ? sample : best), null);
  }

  /** Draws what is known at `now`, a time of this page's. */
  draw(samples, now) {
    this.#samples = samples;
    this.#now = now;
    const age = samples.length ? now - samples[0].at : 0;
    this.#spanMs = SPANS_MS.find((span) => span >= age) ?? SPANS_MS.at(-1);
    if (this.#cursor && !samples.includes(this.#cursor)) this.#cursor = null;
    this.#say();
    if (this.#width > MARGIN.left + MARGIN.right) this.#paint();
  }

  #paint() {
    const { series, least } = this.#options;
    const values = series.flatMap(({ of }) => this.#samples.map(of));
    const top = niceMaximum(Math.max(least, ...values));
    const y = (value) => HEIGHT - MARGIN.bottom - (HEIGHT - MARGIN.top - MARGIN.bottom) * (value / top);
    this.#svg.setAttribute('viewBox', `0 0 ${this.#width} ${HEIGHT}`);
    this.#svg.setAttribute('width', this.#width);
    this.#svg.setAttribute('height', HEIGHT);
    const areas = series.length === 1 ? [svg('path', { class: 'area', d: this.#path(series[0].of, y, y(0)) })] : [];
    series.forEach(({ of }, index) => this.#lines[index].setAttribute('d', this.#path(of, y)));
    this.#svg.replaceChildren(...this.#grid(top, y), ...areas, ...this.#lines, ...this.#marks(y));
  }

  #grid(top, y) {
    const across = [0, top / 2, top].flatMap((value) => {
      const label = svg('text', { x: MARGIN.left - 8, y: y(value) + 4, class: 'end' });
      label.textContent = this.#options.axis(value);
      return [svg('path', { class: 'grid', d: `M${MARGIN.left} ${y(value)}H${this.#width - MARGIN.right}` }), label];
    });
    const minutes = this.#spanMs / 60_000;
    const along = [[0, 'start', `${minutes} min ago`], [1, 'end', 'now']].map(([share, anchor, text]) => {
      const x = share ? this.#width - MARGIN.right : MARGIN.left;
      const label = svg('text', { x, y: HEIGHT - 4, class: anchor });
      label.textContent = text;
      return label;
    });
    return [...across, ...along];
  }

  /** A line through the values, in pieces where there are none; down to `base` and closed, if that is given. */
  #path(of, y, base) {
    const pieces = [];
    this.#samples.forEach((sample, index) => {
      const before = this.#samples[index - 1];
      if (!before || sample.at - before.at > GAP_MS) pieces.push([]);
      pieces.at(-1).push([this.#x(sample.at).toFixed(1), y(of(sample)).toFixed(1)]);
    });
    const closed = (piece) => (base === undefined ? '' : `L${piece.at(-1)[0]} ${base}L${piece[0][0]} ${base}Z`);
    return pieces.map((piece) => `M${piece.map((point) => point.join(' ')).join('L')}${closed(piece)}`).join('');
  }

  #marks(y) {
    const sample = this.#cursor ?? this.#samples.at(-1);
    if (!sample) return [];
    const x = this.#x(sample.at);
    const dots = this.#options.series.map(({ of }, index) => svg('circle', { class: `dot-${index}`, cx: x, cy: y(of(sample)), r: 3 }));
    const line = svg('path', { class: 'cursor', d: `M${x} ${MARGIN.top}V${HEIGHT - MARGIN.bottom}` });
    return this.#cursor ? [line, ...dots] : dots;
  }

  #say() {
    const { title, series, format } = this.#options;
    const last = this.#samples.at(-1);
    const values = (sample) => series.map(({ label, of }) => `${series.length > 1 ? `${label} ` : ''}${format(of(sample))}`).join(', ');
    const [lead] = series.slice(-1);
    const several = series.length > 1;
    write(part(this.element, 'now'), last ? `${several ? `${lead.label} ` : ''}${format(lead.of(last))}` : '–');
    const all = this.#samples.map(lead.of);
    const range = `lowest ${format(Math.min(...all))}, highest ${format(Math.max(...all))}`;
    const of = several ? `${lead.label} ` : '';
    this.plot.setAttribute('aria-label', last ? `${title}: now ${values(last)}; ${of}${range}` : `${title}: nothing measured yet`);
    const rest = last ? `${of}${range}`.replace(/^l/, 'L') : 'Waiting for figures';
    write(part(this.element, 'reading'), this.#cursor ? `${CLOCK.format(this.#cursor.at)}  ${values(this.#cursor)}` : rest);
  }
}
