// The console at `/` (contract §8) in a browser: everything a user and an admin do in it, and what others see of it.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { card, contents, enter, holds, join, launch, open, panel, post, say } from './support/browser.mjs';
import { startServer } from '../js/support/server.mjs';

describe('the console', () => {
  let server;
  let browser;
  let room;
  before(async () => {
    server = await startServer({ args: ['--dev'], env: { ROOM_ACCESS: undefined } });
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  /** Pages of an admin and a user in one new room. */
  async function two(t, options) {
    room = randomUUID();
    const pages = [await open(t, browser, server.url), await open(t, browser, server.url, options)];
    await Promise.all([enter(pages[0], 'admin'), enter(pages[1], 'user')]);
    await Promise.all(pages.map((page) => join(page, room)));
    return pages;
  }

  test('two people post, vote, comment and verify, and see each other do it', async (t) => {
    const [admin, user] = await two(t);
    await post(user, 'The lift is broken again');
    const [theirs, mine] = [card(admin, 'The lift'), card(user, 'The lift')];
    await theirs.getByText('pending', { exact: true }).waitFor();
    await mine.getByText('You', { exact: true }).waitFor();
    assert.match(await theirs.locator('.expiry').textContent(), /^23 h 59 min left$|^1 d left$/);

    await theirs.getByRole('button', { name: 'Upvote, 0' }).click();
    await mine.getByRole('button', { name: 'Upvote, 1', pressed: false }).waitFor();
    await theirs.getByRole('button', { name: 'Upvote, 1', pressed: true }).waitFor();
    await theirs.getByRole('button', { name: 'Downvote, 0' }).click();
    await mine.getByRole('button', { name: 'Downvote, 1' }).waitFor();
    await mine.getByRole('button', { name: 'Upvote, 0' }).waitFor();
    await theirs.getByRole('button', { name: 'Downvote, 1', pressed: true }).click();
    await mine.getByRole('button', { name: 'Downvote, 0' }).waitFor();

    await mine.getByRole('button', { name: 'Comments' }).click();
    await mine.getByText('No comments yet.').waitFor();
    await theirs.getByRole('button', { name: 'Comments' }).click();
    await theirs.getByLabel('Comment', { exact: true }).fill('Seen it too');
    await theirs.getByRole('button', { name: 'Comment', exact: true }).click();
    await mine.locator('.update', { hasText: 'Seen it too' }).waitFor();
    await mine.getByRole('button', { name: 'Comments (1)' }).waitFor();

    assert.equal(await mine.getByRole('button', { name: 'Set status' }).count(), 0);
    await theirs.getByRole('button', { name: 'Set status' }).click();
    await theirs.getByLabel('Reason (optional)').fill('I was there');
    await theirs.getByRole('button', { name: 'Verify' }).click();
    await mine.locator('header').getByText('verified', { exact: true }).waitFor();
    await mine.locator('.update', { hasText: 'I was there' }).getByText('verified', { exact: true }).waitFor();
    await theirs.getByRole('button', { name: 'Set status' }).click();
    await theirs.getByRole('button', { name: 'Expire' }).click();
    await mine.locator('header').getByText('expired', { exact: true }).waitFor();
    await mine.locator('[data-part=up][aria-disabled=true]').waitFor();
    await mine.getByLabel('Comment', { exact: true }).waitFor({ state: 'hidden' });
  });

  test('what was there before is there on joining, older ones on demand, and own votes are known', async (t) => {
    const [admin, user] = await two(t);
    const all = Array.from({ length: 55 }, (_, index) => `number ${index + 1}.`);
    await say(admin, room, all);
    await card(user, 'number 55.').getByRole('button', { name: 'Upvote, 0' }).click();
    await card(user, 'number 55.').getByRole('button', { name: 'Upvote, 1', pressed: true }).waitFor();
    await user.reload();
    await card(user, 'number 55.').getByRole('button', { name: 'Upvote, 1', pressed: true }).waitFor();
    assert.deepEqual(await contents(user), all.slice(5).reverse());
    await panel(user).getByRole('button', { name: 'Show older' }).click();
    await card(user, 'number 1.').waitFor();
    assert.deepEqual(await contents(user), all.toReversed());
    await panel(user).getByRole('button', { name: 'Show older' }).waitFor({ state: 'hidden' });
  });

  test('text that looks like markup is text', async (t) => {
    const [admin, user] = await two(t);
    const nasty = '<script>globalThis.hit = 1</script><img src=x onerror="globalThis.hit = 1"><b>bold</b> &amp; {{1+1}}';
    await panel(admin).getByText('Metadata', { exact: true }).click();
    await panel(admin).getByLabel('Metadata, as JSON').fill(JSON.stringify({ [nasty]: nasty }));
    await post(admin, nasty);
    const seen = card(user, '<script>');
    await seen.getByRole('button', { name: 'Comments' }).click();
    await seen.getByLabel('Comment', { exact: true }).fill(nasty);
    await seen.getByRole('button', { name: 'Comment', exact: true }).click();
    await card(admin, '<script>').getByRole('button', { name: 'Set status' }).click();
    await card(admin, '<script>').getByLabel('Reason (optional)').fill(nasty);
    await card(admin, '<script>').getByRole('button', { name: 'Debunk' }).click();
    await holds(user, () => document.querySelectorAll('.update').length === 2);
    assert.deepEqual(await contents(user), [nasty]);
    assert.deepEqual(await seen.locator('.update .content').allTextContents(), [nasty, nasty]);
    assert.deepEqual(JSON.parse(await seen.locator('pre').textContent()), { [nasty]: nasty });
    for (const page of [admin, user]) {
      assert.equal(await page.evaluate(() => globalThis.hit), undefined);
      assert.equal(await page.locator('main script, main img, main b:not(.vote b)').count(), 0);
    }
  });

  test('what is being written, the focus and the place survive what arrives', async (t) => {
    const [admin, user] = await two(t, { viewport: { width: 900, height: 420 } });
    await post(admin, 'the first');
    const first = card(user, 'the first');
    await first.getByRole('button', { name: 'Comments' }).click();
    await first.getByLabel('Comment', { exact: true }).pressSequentially('half a sen');
    const top = () => user.evaluate(() => Math.round(document.activeElement.getBoundingClientRect().top));
    const before = await top();
    for (const content of ['one more', 'and another', 'and a third']) await post(admin, content);
    await card(admin, 'the first').getByRole('button', { name: 'Upvote, 0' }).click();
    await card(user, 'and a third').waitFor();
    await first.getByRole('button', { name: 'Upvote, 1' }).waitFor();
    assert.ok(Math.abs((await top()) - before) <= 1, 'what is looked at does not move');
    assert.notEqual(await user.evaluate(() => scrollY), 0);
    await user.keyboard.type('tence');
    assert.equal(await first.getByLabel('Comment', { exact: true }).inputValue(), 'half a sentence');
  });

  test('what is wrong is said where it is wrong', async (t) => {
    const page = await open(t, browser, server.url);
    await page.getByLabel('Token').fill('not-a-token');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.locator('.field:has([name=token][aria-invalid=true]) .error', { hasText: 'not a JWT' }).waitFor();
    await enter(page);
    const form = page.locator('#join-form');
    await form.getByLabel('Room').fill('the kitchen');
    await form.getByRole('button', { name: 'Join', exact: true }).click();
    await form.locator('.error', { hasText: 'Must be a UUID' }).waitFor();
    await holds(page, () => document.activeElement.name === 'roomId' && document.activeElement.getAttribute('aria-invalid') === 'true');
    await join(page, randomUUID());
    await post(page, ' ');
    await panel(page).locator('.field:has([name=content]) .error:not(:empty)').waitFor();
    await panel(page).getByText('Metadata', { exact: true }).click();
    await panel(page).getByLabel('Metadata, as JSON').fill('{');
    await post(page, 'fine');
    await panel(page).getByText('This is not JSON.').waitFor();
    await panel(page).getByLabel('Metadata, as JSON').fill('{"a": {"b": [[[[[[[1]]]]]]]}}');
    await post(page, 'fine');
    await panel(page).locator('.field:has([name=metadata]) .error', { hasText: 'deep' }).waitFor();
    await panel(page).getByLabel('Metadata, as JSON').fill('');
    await post(page, 'fine');
    await card(page, 'fine').waitFor();
    assert.equal(await panel(page).locator('.error:not(:empty)').count(), 0);
  });

  test('everything can be done by keyboard', async (t) => {
    const page = await open(t, browser, server.url);
    const press = (...keys) => keys.reduce((done, key) => done.then(() => page.keyboard.press(key)), Promise.resolve());
    const reach = async (selector) => {
      for (let presses = 0; presses < 60; presses += 1) {
        if (await page.evaluate((wanted) => document.activeElement.matches(wanted), selector)) return;
        await press('Tab');
      }
      assert.fail(`${selector} is not reached by Tab`);
    };
    await page.getByRole('button', { name: 'Continue as admin' }).waitFor();
    await press('Shift+Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to content');
    await press('Enter');
    await reach('[data-role=admin]');
    await press('Enter');
    for (const each of ['first', 'second']) {
      await holds(page, () => !document.getElementById('feed').hidden);
      if (each === 'second') {
        await page.evaluate(() => document.activeElement.blur());
        await reach('#add-room');
        await press('Enter');
      }
      await reach('#new-room');
      await press('Enter');
      await holds(page, () => document.activeElement.matches('[name=content]'));
      await page.keyboard.type(`posted in the ${each}`);
      await press('Control+Enter');
      await card(page, `posted in the ${each}`).waitFor();
    }
    await reach('[data-part=up]');
    await press('Space');
    await card(page, 'second').getByRole('button', { name: 'Upvote, 1', pressed: true }).waitFor();
    await reach('[data-part=discuss]');
    await press('Enter');
    await reach('.thread textarea');
    await page.keyboard.type('so it is');
    await press('Control+Enter');
    await page.locator('.update', { hasText: 'so it is' }).waitFor();
    await press('Shift+Tab', 'Enter');
    await reach('[value=verified]');
    await press('Enter');
    await card(page, 'second').locator('header').getByText('verified', { exact: true }).waitFor();
    await holds(page, () => document.activeElement.matches('[data-part=moderate]'));

    await page.evaluate(() => document.getElementById('main').focus());
    await reach('[role=tab][aria-selected=true]');
    await press('ArrowLeft');
    await card(page, 'posted in the first').waitFor();
    await press('ArrowLeft');
    await card(page, 'posted in the second').waitFor();
    await press('Home', 'Delete');
    await holds(page, () => document.querySelectorAll('[role=tab]').length === 1);
    await page.evaluate(() => document.activeElement.blur());
    await reach('[href="#/figures"]');
    await press('Enter');
    await reach('.plot');
    await holds(page, () => document.querySelector('.plot .line')?.getAttribute('d'));
    await press('ArrowLeft');
    await page.locator('.reading', { hasText: /\d:\d\d/ }).first().waitFor();
  });

  test('the figures move, for those who may see them', async (t) => {
    const page = await open(t, browser, server.url);
    await enter(page, 'admin');
    await page.getByRole('link', { name: 'Figures' }).click();
    const chart = page.locator('.chart').first();
    const line = chart.locator('.line');
    await holds(page, () => document.querySelector('.chart .line')?.getAttribute('d')?.includes('L'));
    const [drawn, label] = [await line.getAttribute('d'), await chart.locator('.plot').getAttribute('aria-label')];
    const now = Number(await chart.locator('.now').textContent());
    const other = await open(t, browser, server.url);
    await enter(other);
    await chart.locator('.now', { hasText: new RegExp(`^${now + 1}$`) }).waitFor();
    assert.notEqual(await line.getAttribute('d'), drawn);
    assert.notEqual(await chart.locator('.plot').getAttribute('aria-label'), label);
    await page.getByText('As a table').click();
    await page.locator('#figures-table tbody tr').first().waitFor();
    await other.getByRole('link', { name: 'Figures' }).click();
    await other.getByText('These figures are for admins and services.').waitFor();
    assert.equal(await other.locator('.charts').isVisible(), false);
  });

  test('a token stays in the tab and out of the address', async (t) => {
    const page = await open(t, browser, server.url);
    await enter(page, 'admin');
    const token = await page.evaluate(() => sessionStorage.getItem('gossipd.token'));
    assert.equal(token.split('.').length, 3);
    assert.equal(await page.evaluate(() => localStorage.length + document.cookie.length), 0);
    assert.ok(!page.url().includes(token));
    assert.ok(!(await page.content()).includes(token));
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  });
});
