// The transcripts of docs/protocol.md, replayed: what follows → is sent, what follows ← must be what comes, and nothing else
// may come in between. `<token>`, `<user>` and `<room>` are there from the beginning; `<time>` is any time; another name in
// angle brackets stands for what came in its place at first, and from then on for the same. Lines that begin with blanks
// belong to the line before.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { Inbox } from './support/client.mjs';
import { startServer } from './support/server.mjs';
import { person } from './support/tokens.mjs';

const PAGE = new URL('../../docs/protocol.md', import.meta.url);
const TIME = '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z';

const page = await readFile(PAGE, 'utf8');
const transcripts = [...page.matchAll(/^### (.+)$|^```transcript\n([^]*?)^```$/gm)].reduce((found, [, heading, text]) => {
  if (heading !== undefined) found.heading = heading;
  else found.all.push({ heading: found.heading, lines: text.replace(/\n +/g, '').trimEnd().split('\n') });
  return found;
}, { all: [] }).all;

/** What the names stand for. */
class Names {
  constructor(known) {
    this.known = new Map(Object.entries(known));
  }

  fill(text) {
    return text.replace(/<(\w+)>/g, (_, name) => {
      assert.ok(this.known.has(name), `<${name}> is not known yet`);
      return this.known.get(name);
    });
  }

  match(expected, actual) {
    const fresh = [];
    const pattern = expected.split(/<(\w+)>/).map((part, index) => {
      if (index % 2 === 0) return part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
      if (part === 'time') return TIME;
      if (this.known.has(part)) return this.known.get(part).replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
      if (fresh.includes(part)) return `\\k<${part}>`;
      fresh.push(part);
      return `(?<${part}>[^"]+)`;
    }).join('');
    const found = new RegExp(`^${pattern}$`).exec(actual);
    assert.ok(found, `came:     ${actual}\nexpected: ${expected}`);
    for (const name of fresh) this.known.set(name, found.groups[name]);
  }
}

/** Lines over one WebSocket, whose path the first one has; the last may be its close code. */
async function overWebSocket(t, url, [path, ...lines], names) {
  const [, target, token] = /^→ WebSocket (\S+?)(?:, Authorization: Bearer (\S+))?$/.exec(path);
  const headers = token ? { Authorization: `Bearer ${names.fill(token)}` } : {};
  const socket = new WebSocket(url.replace('http', 'ws') + names.fill(target), { headers });
  t.after(() => socket.terminate());
  const came = new Inbox();
  socket.on('message', (bytes) => came.push(String(bytes)));
  socket.on('close', (code) => came.push(`closed with ${code}`));
  socket.on('error', (error) => came.push(String(error)));
  await new Promise((resolve) => { socket.once('open', resolve); });
  for (const line of lines) {
    if (line.startsWith('→ ')) socket.send(names.fill(line.slice(2)));
    else names.match(line.slice(2), await came.next(line));
  }
}

/** Requests, one after another, each with its answer. */
async function overHttp(_, url, lines, names) {
  for (let index = 0; index < lines.length; index += 2) {
    const [, method, path, body] = /^→ (GET|POST) (\S+)(?: (.*))?$/.exec(lines[index]);
    const options = { method, body: body && names.fill(body), signal: AbortSignal.timeout(10_000) };
    const response = await fetch(url + names.fill(path), options);
    names.match(lines[index + 1].slice(2), `${response.status} ${(await response.text()).replaceAll('\x1e', '␞')}`);
  }
}

let server;
before(async () => { server = await startServer(); });
after(() => server?.stop());

test('there are transcripts', () => assert.ok(transcripts.length >= 3));

for (const { heading, lines } of transcripts) {
  test(`transcript: ${heading}`, { timeout: 30_000 }, async (t) => {
    const room = randomUUID();
    const { id, token } = person({ rooms: [room] });
    const replay = lines[0].startsWith('→ WebSocket ') ? overWebSocket : overHttp;
    await replay(t, server.url, lines, new Names({ room, user: id, token }));
  });
}
