// The README's client example, run as it is printed against `gossipd --dev`.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { README, startServer } from './support/server.mjs';

const PORT = 3000;
const UPDATE_MS = 20_000;

const isFree = (port) => new Promise((resolve) => {
  const probe = net.createServer();
  probe.once('error', () => resolve(false));
  probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
});

/** Runs a module until it prints what is looked for; rejects if it ends before. */
function printed(file, env, looked) {
  const child = spawn(process.execPath, [file], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const outcome = new Promise((resolve, reject) => {
    const fail = (what) => reject(new Error(`${what}: ${output}`));
    setTimeout(() => fail('no update printed'), UPDATE_MS).unref();
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
        if (looked.test(output)) resolve(output);
      });
    }
    child.once('close', (code) => fail(`ended with ${code}`));
  });
  return outcome.finally(() => child.kill('SIGKILL'));
}

test("the README's client works as printed", { timeout: 60_000 }, async (t) => {
  const example = /^```(?:js|javascript)\n([\s\S]*?)^```/m.exec(readFileSync(README, 'utf8'));
  assert.ok(example, 'the README has a js block');
  if (!(await isFree(PORT))) return t.skip(`port ${PORT} is in use`);

  const unset = { WS_HOST: undefined, WS_PORT: undefined, DATABASE_URL: undefined, JWT_SECRET: undefined, ROOM_ACCESS: undefined };
  const server = await startServer({ args: ['--dev'], env: unset });
  t.after(() => server.stop());
  assert.equal(server.port, PORT);

  // Beside node_modules, so that the example's imports resolve.
  const file = fileURLToPath(new URL(`./readme-example-${process.pid}.mjs`, import.meta.url));
  writeFileSync(file, example[1]);
  t.after(() => rmSync(file, { force: true }));
  const token = /eyJ[\w-]+\.[\w-]+\.[\w-]+/.exec(server.stdout)?.[0];
  await printed(file, { ...process.env, ...(token && { TOKEN: token }) }, /new_intent/);
});
