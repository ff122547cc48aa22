// The published TypeScript types, through the compiler and with socket.io-client's own types.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const COMPILER = fileURLToPath(new URL('node_modules/typescript/bin/tsc', import.meta.url));
const PROJECT = fileURLToPath(new URL('types', import.meta.url));

test('an application compiles against clients/types, and a wrong one does not', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMPILER, '-p', PROJECT], { encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
});
