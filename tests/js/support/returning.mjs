// What tests of recovery share: ways for a connection to end, and what must be so when its client is back.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { get } from './http.mjs';
import { startProxy } from './proxy.mjs';
import { fill, recovering } from './recovering.mjs';
import { person } from './tokens.mjs';

export const LONG_MS = 30_000;
export const ASK_AGAIN_MS = 20;

export const rooms = (count) => Array.from({ length: count }, () => randomUUID());

/** Waits for what nothing announces. */
export async function eventually(what, probe, ms = 10_000) {
  for (const deadline = Date.now() + ms; ;) {
    const [isSo, shown] = await probe();
    if (isSo) return;
    assert.ok(Date.now() < deadline, `${what}: not within ${ms} ms: ${JSON.stringify(shown)}`);
    await pause(ASK_AGAIN_MS);
  }
}

export async function stats(w) {
  return (await get(`${w.url}/v1/stats`, person({ role: 'service' }).token)).json();
}

/** Waits until so many are connected, as the server sees it. */
export const active = (w, count) => eventually(`${count} connections`, async () => {
  const { activeConnections } = await stats(w);
  return [activeConnections === count, activeConnections];
});

export async function joinAll(client, ids) {
  for (const roomId of ids) await client.join(roomId);
}

/** A recovering client in three rooms behind a proxy, and somebody beside it who is not. */
export async function setup(w, { ids = rooms(3), ...options } = {}) {
  const who = w.person({ rooms: ids });
  const proxy = await startProxy(w.t, w.server.port);
  const client = await recovering(w, who, { url: proxy.url, ...options });
  await joinAll(client, ids);
  return { who, ids, proxy, client };
}

export const server = (w) => w.connect(person({ role: 'service' }));

/** Comes back, recovered, by itself. */
export async function recovered(client) {
  const connect = await client.connected();
  assert.equal(connect.recovered, true);
  await client.settled();
  return connect;
}

/** Comes back as somebody new. */
export async function anew(client) {
  const connect = await client.connected();
  assert.equal(connect.recovered, false);
  await client.settled();
  return connect;
}

export const gone = async (client) => assert.notEqual(await client.disconnected(), 'io server disconnect');

/** Ends the server at once and starts it again; what `meanwhile` does, it does before the client may come back. */
export async function crash(w, { client, proxy }, meanwhile = async () => {}) {
  await w.server.crash();
  await gone(client);
  proxy.cut();
  await w.server.start();
  await meanwhile();
  proxy.restore();
}

/** Cuts the connection; the server lives. */
export async function drop({ client, proxy }, meanwhile = async () => {}) {
  proxy.cut();
  await gone(client);
  await meanwhile();
  proxy.restore();
}

/** What the client will come back with. */
export async function rememberedBy(client) {
  return { pid: client.socket._pid, offset: client.offset };
}

export async function fillAll(w, ids, count, content) {
  const poster = await server(w);
  await Promise.all(ids.map((roomId) => fill(poster, roomId, count, content)));
  poster.close();
}

/** The most memory that the server has had, in bytes. */
export function memory(w) {
  const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${w.server.child.pid}/status`, 'utf8'));
  return Number(kib) * 1024;
}
