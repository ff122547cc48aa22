// The console when the connection, the server, or the access to a room is lost: it comes back without a reload, with
// nothing missed and nothing doubled.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { card, contents, enter, holds, join, launch, live, open, panel, picture, post } from './support/browser.mjs';
import { send } from '../js/support/http.mjs';
import { startProxy } from '../js/support/proxy.mjs';
import { lastingPort, startServer } from '../js/support/server.mjs';
import { person } from '../js/support/tokens.mjs';

describe('the console comes back', () => {
  let browser;
  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());

  async function start(t, env) {
    const server = await startServer({ args: ['--dev'], env: { ROOM_ACCESS: undefined, WS_PORT: String(await lastingPort()), ...env } });
    t.after(() => server.kill());
    return server;
  }

  /** Two pages in a room: one that can be cut off, one that is connected to the server itself. */
  async function pair(t, server) {
    const proxy = await startProxy(t, server.port);
    const [away, here] = [await open(t, browser, proxy.url, { mayLose: true }), await open(t, browser, server.url, { mayLose: true })];
    const room = randomUUID();
    for (const page of [away, here]) {
      await enter(page);
      await join(page, room);
      await page.evaluate(() => { globalThis.isTheSame = true; });
    }
    return { proxy, away, here };
  }

  test('after the server was killed and started again on its port', async (t) => {
    const server = await start(t);
    const { proxy, away, here } = await pair(t, server);
    await post(here, 'before');
    await card(away, 'before').waitFor();
    await card(away, 'before').getByRole('button', { name: 'Comments' }).click();
    proxy.cut();
    await server.crash();
    for (const page of [away, here]) await page.locator('#banner', { hasText: 'Trying again' }).waitFor();
    await picture(away, 'lost');
    // Said into the void, and heard when the server is back.
    await post(here, 'meanwhile, one');
    await server.start();
    await live(here);
    await card(here, 'meanwhile, one').waitFor();
    await post(here, 'meanwhile, two');
    await card(here, 'meanwhile, two').waitFor();
    await card(here, 'before').getByRole('button', { name: 'Upvote, 0' }).click();
    await card(here, 'before').getByRole('button', { name: 'Comments' }).click();
    await card(here, 'before').getByLabel('Comment', { exact: true }).fill('while you were away');
    await card(here, 'before').getByRole('button', { name: 'Comment', exact: true }).click();
    await card(here, 'before').locator('.update').waitFor();
    proxy.restore();
    await live(away);
    await card(away, 'before').getByRole('button', { name: 'Upvote, 1' }).waitFor();
    await card(away, 'before').locator('.update', { hasText: 'while you were away' }).waitFor();
    await post(away, 'after');
    await card(here, 'after').waitFor();
    for (const page of [away, here]) {
      await card(page, 'after').waitFor();
      assert.deepEqual(await contents(page), ['after', 'meanwhile, two', 'meanwhile, one', 'before']);
      assert.equal(await page.locator('.update').count(), 1);
      assert.equal(await page.evaluate(() => globalThis.isTheSame), true, 'without a reload');
      await page.locator('#banner').waitFor({ state: 'hidden' });
    }
  });

  test('after the server went away as it should', async (t) => {
    const server = await start(t);
    const { away, here } = await pair(t, server);
    await here.evaluate(() => {
      globalThis.states = [];
      const look = () => globalThis.states.push(document.getElementById('connection').dataset.state);
      new MutationObserver(look).observe(document.getElementById('connection'), { attributes: true });
    });
    await server.drain();
    await here.locator('#connection[data-state=waiting], #connection[data-state=connecting]').waitFor();
    await server.start();
    await Promise.all([away, here].map(live));
    const states = await here.evaluate(() => globalThis.states);
    assert.ok(states.includes('draining'), `${states}`);
    await post(away, 'here again');
    await card(here, 'here again').waitFor();
  });

  test('anew where what was missed is no longer to be had', async (t) => {
    const server = await start(t);
    const { away, here } = await pair(t, server);
    await post(here, 'forgotten');
    await post(here, 'forgotten too');
    await card(away, 'forgotten too').waitFor();
    await server.crash();
    // A room whose numbers begin again: what the pages have seen is beyond its end.
    for (const name of await readdir(server.directory)) {
      if (name.startsWith('gossip.db')) rmSync(path.join(server.directory, name));
    }
    await server.start();
    await Promise.all([away, here].map(live));
    for (const page of [away, here]) await holds(page, () => !document.querySelector('article'));
    await post(here, 'a new beginning');
    await card(away, 'a new beginning').waitFor();
    assert.deepEqual(await contents(away), ['a new beginning']);
  });

  test('it says so when a room is closed to its user', async (t) => {
    const server = await start(t, { ROOM_ACCESS: 'members' });
    const [who, admin, room] = [person(), person({ role: 'admin' }), randomUUID()];
    const member = `${server.url}/v1/rooms/${room}/members/${who.id}`;
    assert.equal((await send('PUT', member, admin.token)).status, 204);
    const page = await open(t, browser, server.url);
    await page.getByLabel('Token').fill(who.token);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await join(page, room);
    await post(page, 'while I may');
    await card(page, 'while I may').waitFor();
    assert.equal((await send('DELETE', member, admin.token)).status, 204);
    await panel(page).getByText('Your access to this room was withdrawn.').waitFor();
    await panel(page).getByRole('button', { name: 'Post' }).waitFor({ state: 'hidden' });
  });

  test('it asks for a new token when the old one is over', async (t) => {
    const server = await start(t);
    const [who, room] = [{ id: randomUUID(), rooms: '*' }, randomUUID()];
    const page = await open(t, browser, server.url);
    const signIn = async (exp) => {
      await page.getByLabel('Token').fill(person({ ...who, exp }).token);
      await page.getByRole('button', { name: 'Sign in' }).click();
    };
    await signIn(Math.floor(Date.now() / 1000) + 12);
    await join(page, room);
    await post(page, 'still here?');
    await page.getByText('Your token has expired.').waitFor();
    await signIn();
    await card(page, 'still here?').waitFor();
    await post(page, 'still here.');
    await card(page, 'still here.').waitFor();
  });

  test('with a pause that is random and bounded', async (t) => {
    const server = await start(t);
    const page = await open(t, browser, server.url);
    const pauses = await page.evaluate(async () => {
      const { backoff } = await import('/console/connection.js');
      return [[0, 0], [0, 1], [3, 0.5], [3, 1], [50, 0], [50, 1]].map(([attempt, random]) => backoff(attempt, random));
    });
    assert.deepEqual(pauses, [0, 500, 2000, 4000, 0, 20_000]);
  });
});
