// The plain WebSocket, kept open: it authenticates, matches answers to calls, and comes back after a loss with backoff
// and full jitter. What a room is, it does not know: see rooms.js.
//
// It dispatches `state` (with `state`, and perhaps `code`, `message`, `at`), `ready` after each authentication, and
// `event` for everything the server sends by itself.

const FIRST_MS = 500;
const MOST_MS = 20_000;
const AUTHENTICATE_MS = 10_000;
const CALL_MS = 20_000;
/** A server may ask to be left alone for so long; a mistake of its must not keep a page away for ever. */
const WAIT_MOST_MS = 60_000;

/** Codes with which the server says that this token will not do, and closes with which it says to stay away. */
const FINAL_CODES = new Set(['invalid_token', 'token_expired', 'forbidden']);
const FINAL_CLOSES = new Map([
  [4001, { code: 'token_expired', message: 'Your token has expired. Sign in with a new one.' }],
  [4003, { code: 'rate_limited', message: 'The server ended the connection: too much in a short time.' }],
  [4004, { code: 'invalid_token', message: 'Your token was revoked. Sign in with a new one.' }],
]);

/** Full jitter: anything up to a bound that doubles, so that those who were dropped together do not return together. */
export function backoff(attempt, random = Math.random()) {
  return random * Math.min(MOST_MS, FIRST_MS * 2 ** attempt);
}

/** A failure in the shape of the server's. */
export class Failure extends Error {
  constructor({ code, message, field, retryAfterMs }) {
    super(message);
    Object.assign(this, { code, field, retryAfterMs });
  }
}

export class Connection extends EventTarget {
  #url;
  #token;
  #socket = null;
  #authentication = 0;
  #attempt = 0;
  #timer;
  #notBefore = 0;
  #nextId = 1;
  #calls = new Map();
  state = 'closed';

  constructor(url) {
    super();
    this.#url = url;
    addEventListener('online', () => this.retry());
    document.addEventListener('visibilitychange', () => document.hidden || this.retry());
  }

  /** Connects, and stays connected until `close` or until the server says to stay away. */
  open(token) {
    this.close();
    this.#token = token;
    this.#attempt = 0;
    this.#dial();
  }

  close() {
    this.#drop();
    this.#failAll('disconnected', 'You are signed out.');
    this.#tell({ state: 'closed' });
  }

  /** Tries again now instead of later, though not before the server wants it. */
  retry() {
    if (this.state !== 'waiting') return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#dial(), Math.max(0, this.#notBefore - Date.now()));
  }

  /**
   * Sends a command and resolves with its ack, or throws a `Failure`. One that
   * a loss of the connection leaves without an answer is sent again: commands
   * carry a `requestId` or change nothing the second time.
   */
  call(event, data) {
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      const timer = setTimeout(() => this.#late(id), CALL_MS);
      this.#calls.set(id, { event, data, resolve, reject, timer });
      if (this.state === 'online' || this.state === 'draining') this.#send(id);
    });
  }

  #send(id) {
    const call = this.#calls.get(id);
    const { event, data } = call;
    call.socket = this.#socket;
    this.#socket.send(JSON.stringify({ event, data, id }));
  }

  #dial() {
    this.#drop();
    this.#tell({ state: 'connecting' });
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    // A browser takes minutes to give up on a server that does not answer.
    this.#timer = setTimeout(() => this.#lost({}), AUTHENTICATE_MS);
    socket.addEventListener('open', () => {
      this.#authentication = this.#nextId++;
      const authenticate = { event: 'authenticate', data: { token: this.#token }, id: this.#authentication };
      socket.send(JSON.stringify(authenticate));
    });
    const ifCurrent = (act) => (event) => socket === this.#socket && act(event);
    socket.addEventListener('message', ifCurrent(({ data }) => this.#receive(JSON.parse(data))));
    socket.addEventListener('close', ifCurrent((event) => this.#lost(event)));
  }

  #receive({ id, event, data }) {
    if (id !== undefined && id === this.#authentication) return this.#authenticated(data);
    if (id !== undefined) return this.#answered(id, data);
    if (event === 'server_draining') {
      const wait = Math.min(Number(data?.retryAfterMs) || 0, WAIT_MOST_MS);
      this.#notBefore = Date.now() + wait;
      this.#tell({ state: 'draining' });
    }
    this.dispatchEvent(new CustomEvent('event', { detail: { event, data } }));
  }

  #authenticated(ack) {
    clearTimeout(this.#timer);
    this.#authentication = 0;
    if (ack.status === 'error') {
      if (FINAL_CODES.has(ack.code)) return this.#end(ack);
      this.#notBefore = Date.now() + Math.min(ack.retryAfterMs ?? 0, WAIT_MOST_MS);
      return this.#lost({});
    }
    this.#attempt = 0;
    this.#tell({ state: 'online' });
    this.dispatchEvent(new CustomEvent('ready', { detail: ack }));
    // Those that were made by the listeners of `ready` are on their way already.
    const waiting = [...this.#calls].filter(([, call]) => call.socket !== this.#socket);
    for (const [id] of waiting) this.#send(id);
  }

  #answered(id, ack) {
    const call = this.#calls.get(id);
    if (!call) return;
    this.#calls.delete(id);
    clearTimeout(call.timer);
    if (ack?.status === 'error') call.reject(new Failure(ack));
    else call.resolve(ack);
  }

  #late(id) {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    call.reject(new Failure({ code: 'unavailable', message: 'No answer from the server. Trying again is safe.' }));
    // A connection on which nothing is answered is none, whatever the browser thinks.
    if (call.socket === this.#socket && this.#socket) this.#lost({});
  }

  #lost({ code }) {
    this.#drop();
    const final = FINAL_CLOSES.get(code);
    if (final) return this.#end(final);
    const pause = Math.max(0, this.#notBefore - Date.now()) + backoff(this.#attempt);
    this.#attempt += 1;
    this.#timer = setTimeout(() => this.#dial(), pause);
    this.#tell({ state: 'waiting', at: Date.now() + pause });
  }

  /** No way back with this token. */
  #end({ code, message }) {
    this.#drop();
    this.#failAll(code, message);
    this.#tell({ state: 'ended', code, message });
  }

  #failAll(code, message) {
    for (const { reject, timer } of this.#calls.values()) {
      clearTimeout(timer);
      reject(new Failure({ code, message }));
    }
    this.#calls.clear();
  }

  #drop() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    this.#authentication = 0;
    socket?.close();
  }

  #tell(detail) {
    if (this.state === detail.state && detail.state === 'closed') return;
    this.state = detail.state;
    this.dispatchEvent(new CustomEvent('state', { detail }));
  }
}
