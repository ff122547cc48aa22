// How the console looks: light and dark, wide and at 375 pixels, each view held to axe's rules (contrast among them) and
// to the width it has. The pictures that it leaves under `target/console` are for people to look at.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { card, enter, holds, join, launch, noSideways, open, panel, picture, post, say } from './support/browser.mjs';
import { startServer } from '../js/support/server.mjs';

const WIDTHS = { wide: { width: 1100, height: 900 }, phone: { width: 375, height: 812 } };

describe('the looks of the console', () => {
  let server;
  let browser;
  let axe;
  before(async () => {
    server = await startServer({ args: ['--dev'], env: { ROOM_ACCESS: undefined } });
    browser = await launch();
    axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  async function look(page, name) {
    await noSideways(page);
    await picture(page, name);
    // The policy lets no script in but the page's own; a debugger's it does not see.
    await page.evaluate(`${axe}; undefined`);
    const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    const told = found.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html, any }) => `${html} ${any[0]?.message ?? ''}`).join(' | ')}`);
    assert.deepEqual(told, [], name);
  }

  async function fill(page, other, room) {
    await say(other, room, ['Somebody heard that the canteen will close at two from Monday on. Does anyone know more?']);
    await say(page, room, ['The lift is broken again.\nThe stairs are not.']);
    await say(other, room, [`A word without an end: ${'gossip'.repeat(40)}`]);
    await say(other, room, ['The new coffee machine takes cards now.']);
    const [canteen, lift, coffee] = ['canteen', 'lift', 'coffee'].map((word) => card(page, word));
    await coffee.waitFor();
    await panel(page).getByLabel('Expires').selectOption('5');
    await post(page, 'There is cake in the kitchen');
    await card(page, 'cake').getByRole('button', { name: 'Upvote, 0' }).click();
    await lift.getByRole('button', { name: 'Upvote, 0' }).click();
    await card(other, 'lift').getByRole('button', { name: /^Upvote/ }).click();
    await card(other, 'canteen').getByRole('button', { name: /^Downvote/ }).click();
    for (const [of, verdict, reason] of [[coffee, 'Verify', 'Tried it: it does.'], [canteen, 'Debunk', '']]) {
      await of.getByRole('button', { name: 'Set status' }).click();
      await of.getByLabel('Reason (optional)').fill(reason);
      await of.getByRole('button', { name: verdict }).click();
      await of.getByLabel('Reason (optional)').waitFor({ state: 'hidden' });
    }
    await card(other, 'coffee').getByRole('button', { name: 'Comments' }).click();
    await card(other, 'coffee').getByLabel('Comment', { exact: true }).fill('At last. Mine was out of coins for a week.');
    await card(other, 'coffee').getByRole('button', { name: 'Comment', exact: true }).click();
    await coffee.getByRole('button', { name: /^Comments/ }).click();
    await coffee.locator('.update').nth(1).waitFor();
    await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
  }

  for (const [width, viewport] of Object.entries(WIDTHS)) {
    for (const colorScheme of ['light', 'dark']) {
      test(`${width}, ${colorScheme}`, async (t) => {
        const options = { viewport, colorScheme, reducedMotion: 'reduce' };
        const [page, other] = [await open(t, browser, server.url, options), await open(t, browser, server.url)];
        const name = (view) => `${view}-${width}-${colorScheme}`;
        await page.getByText('This server runs with').waitFor();
        await look(page, name('sign-in'));
        const rooms = [randomUUID(), randomUUID()];
        await enter(page, 'admin');
        await enter(other);
        await look(page, name('no-room'));
        for (const room of rooms) await join(page, room);
        await join(other, rooms[1]);
        await fill(page, other, rooms[1]);
        await say(other, rooms[0], ['a', 'b', 'c']);
        await page.locator('.unread', { hasText: '3' }).waitFor();
        await look(page, name('feed'));
        await card(page, 'cake').getByRole('button', { name: 'Set status' }).click();
        await look(page, name('moderation'));
        await page.getByRole('link', { name: 'Figures' }).click();
        const points = () => (document.querySelector('.chart .line')?.getAttribute('d') ?? '').split('L').length > 4;
        await holds(page, points);
        await look(page, name('figures'));
        await page.getByText('As a table').click();
        await page.locator('#figures-table tbody tr').first().waitFor();
        await look(page, name('table'));
      });
    }
  }
});
