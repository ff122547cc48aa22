// A headless Chromium, the one that is installed here, and pages of the console that must not complain.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const CANDIDATES = [process.env.CHROMIUM_BIN, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const WAIT_MS = 20_000;
const PICTURES = fileURLToPath(new URL('../../../target/console/', import.meta.url));
/** What a browser says by itself of a server that is not there. */
const NO_SERVER = /WebSocket connection to|ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_SOCKET/;

export async function launch() {
  const executablePath = CANDIDATES.find((each) => each && existsSync(each));
  assert.ok(executablePath, 'no Chromium: install it, or set CHROMIUM_BIN');
  const args = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'];
  // As root there is no other way, and the pages are ours.
  if (process.getuid?.() === 0) args.push('--no-sandbox');
  return chromium.launch({ executablePath, args, headless: true });
}

/** A page of its own session. `mayLose`: the server goes away in the course of it. */
export async function open(t, browser, url, { mayLose = false, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1100, height: 900 }, ...options });
  context.setDefaultTimeout(WAIT_MS);
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (!['error', 'warning'].includes(message.type())) return;
    if (mayLose && NO_SERVER.test(message.text())) return;
    complaints.push(message.text());
  });
  await page.addInitScript(() => {
    globalThis.violations = [];
    addEventListener('securitypolicyviolation', (event) => globalThis.violations.push(`${event.violatedDirective}: ${event.blockedURI}`));
  });
  t.after(async () => {
    const violations = await page.evaluate(() => globalThis.violations);
    await context.close();
    assert.deepEqual(complaints, [], 'the page complains of nothing');
    assert.deepEqual(violations, [], 'the content security policy is kept');
  });
  await page.goto(url);
  return page;
}

/** Signs in with what `--dev` offers. */
export async function enter(page, role = 'user') {
  await page.getByRole('button', { name: `Continue as ${role}` }).click();
  await live(page);
}

/** Resolves when the page says that it is connected. */
export async function live(page) {
  await page.locator('#connection[data-state=online]').waitFor();
}

export async function join(page, room) {
  const form = page.locator('#join-form');
  if (!(await form.isVisible())) await page.getByRole('button', { name: 'Join a room' }).click();
  await form.getByLabel('Room').fill(room);
  await form.getByRole('button', { name: 'Join', exact: true }).click();
  await page.locator(`#panel-${room}:visible`).waitFor();
}

export const panel = (page) => page.locator('[role=tabpanel]:visible');

export async function post(page, content) {
  await panel(page).getByLabel('Gossip', { exact: true }).fill(content);
  await panel(page).getByRole('button', { name: 'Post' }).click();
}

/** Posts one after another, beside the page and as its user. */
export function say(page, roomId, contents) {
  return page.evaluate(async ([room, all]) => {
    const { Connection } = await import('/console/connection.js');
    const connection = new Connection(new URL('/gossip/ws', location.href.replace('http', 'ws')));
    connection.open(sessionStorage.getItem('gossipd.token'));
    for (const content of all) await connection.call('new_gossip', { roomId: room, content });
    connection.close();
  }, [roomId, contents]);
}

/** The card that says it. */
export const card = (page, content) => panel(page).locator('article').filter({ has: page.locator('> .content', { hasText: content }) });

export const contents = (page) => panel(page).locator('article > .content').allTextContents();

/** Polls in the page until it holds: for what no locator can say. */
export const holds = (page, probe, argument) => page.waitForFunction(probe, argument, { timeout: WAIT_MS });

export async function noSideways(page) {
  const [content, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= width, `${content} pixels of content in ${width}`);
}

/** A picture for people to look at, under `target/console`. */
export async function picture(page, name) {
  await mkdir(PICTURES, { recursive: true });
  await page.screenshot({ path: path.join(PICTURES, `${name}.png`) });
}
