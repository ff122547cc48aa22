// A client of the plain WebSocket: `{event, data, id?}` out, replies and events in.
import { WebSocket } from 'ws';
import { Inbox } from './client.mjs';
import * as shapes from './shapes.mjs';

export class PlainClient {
  #id = 0;
  #frames = new Inbox();

  constructor(socket) {
    this.socket = socket;
    socket.on('message', (bytes, isBinary) => {
      this.#frames.push(isBinary ? { binary: bytes.length } : JSON.parse(bytes));
    });
    this.closed = new Promise((resolve) => socket.once('close', (code) => resolve(code)));
    socket.on('error', () => {}); // what follows an error is a close
  }

  /** Resolves with a client, or rejects with `{status}` where the upgrade was refused. */
  static async open(w, { token, headers } = {}) {
    const authorization = token === undefined ? {} : { Authorization: `Bearer ${token}` };
    const socket = new WebSocket(`${w.url.replace('http', 'ws')}/gossip/ws`, { headers: { ...authorization, ...headers } });
    w.t.after(() => socket.terminate());
    const client = new PlainClient(socket);
    await new Promise((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('unexpected-response', (_, response) => reject({ status: response.statusCode }));
      socket.once('error', reject);
    });
    return client;
  }

  send(text) {
    this.socket.send(text);
  }

  /** The next frame as it came. */
  next() {
    return this.#frames.next('a frame');
  }

  /** Sends with an id; resolves with the data of the reply. */
  async call(event, data) {
    const id = (this.#id += 1);
    this.send(JSON.stringify({ event, data, id }));
    const reply = await this.#frames.until(`reply ${id}`, () => this.#frames.all.find((frame) => frame.id === id));
    shapes.keys(reply, ['id', 'data']);
    return reply.data;
  }

  /** The `data` of the events of one name, once there are `count`. */
  async events(name, count) {
    const got = () => this.#frames.all.filter((frame) => frame.event === name);
    await this.#frames.until(`${count} ${name}`, () => got().length >= count);
    for (const frame of got()) shapes.keys(frame, ['event', 'data']);
    return got().map((frame) => frame.data);
  }
}
