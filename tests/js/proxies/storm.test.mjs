// Clients that come and go through a proxy, politely or not, over every transport: nothing of them may be left, neither at
// gossipd nor at the proxy. CONNECTIONS says how many; without it, as many as take a few seconds.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { Agent } from 'node:https';
import { after, before, describe, it } from 'node:test';
import { Client, MODES } from '../support/client.mjs';
import { eventually } from '../support/returning.mjs';
import { PROXIES, startReverse } from '../support/reverse.mjs';
import { startServer } from '../support/server.mjs';
import { get } from '../support/http.mjs';
import { person } from '../support/tokens.mjs';

const CONNECTIONS = Number(process.env.CONNECTIONS || 600);
const AT_ONCE = 100;
/** Come and go before anything is counted: what is made but once is made then. */
const FIRST = 200;
const SETTLE_MS = 40_000;
const FAREWELL_MS = 1000;
/** What may be open that was not before: an answer to whoever asks for figures, a poll of the database's. */
const FILES_MORE = 8;
/** What memory may grow by from the first half of them to the second: a share, and some bytes. */
const GROWTH = { share: 1.1, bytes: 8 * 2 ** 20 };
/** So that who has vanished between two polls is missed soon, but nobody whom a busy machine keeps waiting. */
const HEARTBEAT = { PING_INTERVAL: '8s', PING_TIMEOUT: '12s' };

const files = (pid) => readdirSync(`/proc/${pid}/fd`).length;
const resident = (pid) => 1024 * /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1];
const workers = (pid) => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);

/** Keeps count of its connections, so that they can be cut as those of a process that is killed. A request that was under
 * way is tried again by the client's library, for ever where it ends as one does whose connection was reset: it ends with
 * another error then. */
class Cuttable extends Agent {
  #made = new Set();
  #isCut = false;

  createConnection(...args) {
    const socket = super.createConnection(...args);
    this.#made.add(socket);
    socket.once('close', () => this.#made.delete(socket));
    return socket;
  }

  addRequest(request, ...rest) {
    if (this.#isCut) request.destroy(new Error('cut'));
    else super.addRequest(request, ...rest);
  }

  cut() {
    this.#isCut = true;
    for (const socket of this.#made) socket.destroy();
    this.destroy();
  }
}

/** Ways to leave. */
const ENDS = [
  (client) => client.socket.disconnect(),
  (client) => client.socket.io.engine.close(),
  (_, agent) => agent.cut(),
];

describe('a crowd that comes and goes', () => {
  for (const kind of PROXIES) {
    describe(`through ${kind}`, () => {
      let server;
      let proxy;
      before(async () => {
        server = await startServer({ env: { TRUSTED_PROXIES: '127.0.0.1', ...HEARTBEAT } });
        proxy = await startReverse(kind, [server.port]);
      });
      after(async () => {
        await proxy?.stop();
        await server?.stop();
      });

      const rooms = Array.from({ length: 20 }, () => randomUUID());
      const { token } = person({ role: 'service' });
      const figures = async () => (await get(`${server.url}/v1/stats`, token)).json();

      async function cycle(index) {
        const transports = Object.values(MODES)[index % 3];
        const agent = new Cuttable({ ca: proxy.ca, keepAlive: true });
        const options = { transports, agent, ca: proxy.ca, auth: { token: person({ rooms }).token } };
        const client = new Client(proxy.url, options);
        let reason;
        client.socket.on('disconnect', (...why) => { reason = why; });
        try {
          await client.open();
          await client.join(rooms[index % rooms.length]);
          // Every other one leaves in the middle of its upgrade.
          if (index % 2) await client.settled();
          ENDS[Math.floor(index / 6) % ENDS.length](client, agent);
        } catch (error) {
          error.message += `: ${transports}, client ${index}, disconnected by ${JSON.stringify(reason)}`;
          throw error;
        } finally {
          client.close();
          // Its farewell is under way still, and in the middle of an upgrade it waits for the end of that.
          const { engine } = client.socket.io;
          if (engine.readyState !== 'closed') await new Promise((resolve) => engine.once('close', resolve));
          setTimeout(() => agent.cut(), FAREWELL_MS);
        }
      }

      async function crowd(count) {
        let next = 0;
        const one = async () => {
          while (next < count) await cycle(next++);
        };
        await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, one));
      }

      /** What is open when all have gone: at gossipd, and at the proxy. */
      async function settled(limit = {}) {
        let found;
        await eventually('everybody gone', async () => {
          const { activeConnections, roomsSubscribed, usersConnected } = await figures();
          const proxies = [proxy.child.pid, ...workers(proxy.child.pid)];
          found = { server: files(server.child.pid), proxy: proxies.reduce((sum, pid) => sum + files(pid), 0) };
          const left = activeConnections + roomsSubscribed + usersConnected;
          const isOpen = (name) => found[name] > (limit[name] ?? Infinity) + FILES_MORE;
          return [left === 0 && !isOpen('server') && !isOpen('proxy'), { left, ...found, limit }];
        }, SETTLE_MS);
        return found;
      }

      it(`leaves nothing behind, ${CONNECTIONS} times`, { timeout: 180_000 + 100 * CONNECTIONS }, async (t) => {
        const idle = await settled();
        await crowd(FIRST);
        await settled(idle);
        const memory = [];
        for (const half of [Math.ceil(CONNECTIONS / 2), Math.floor(CONNECTIONS / 2)]) {
          await crowd(half);
          await settled(idle);
          memory.push(resident(server.child.pid));
        }
        const mebibytes = memory.map((bytes) => (bytes / 2 ** 20).toFixed(1));
        t.diagnostic(`memory of gossipd after the first half and after all: ${mebibytes.join(', ')} MiB`);
        assert.ok(memory[1] <= memory[0] * GROWTH.share + GROWTH.bytes, `memory grows: ${mebibytes.join(', ')} MiB`);
        const { totalConnections } = await figures();
        assert.equal(totalConnections, FIRST + CONNECTIONS);
        assert.doesNotMatch(server.stderr, /panick/);
      });
    });
  }
});
