// Starts and stops the daemon under test, each on a directory of its own.
import { spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { SECRET } from './tokens.mjs';

const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));
const BINARY = path.resolve(process.env.GOSSIPD_BIN ?? path.join(REPOSITORY, 'target/debug/gossipd'));
const LISTENING = /^gossipd listening on (http:\/\/\S+?:(\d+))\/?\s*$/m;
const START_MS = 20_000;
const STOP_MS = 15_000;

export const README = path.join(REPOSITORY, 'README.md');

// Whatever ends this process also ends the daemons it has started.
const running = new Set();
const killAll = () => running.forEach((server) => server.kill());
process.on('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    killAll();
    process.exit(1);
  });
}

class Server {
  constructor(child, directory) {
    this.child = child;
    this.directory = directory;
    this.stdout = '';
    this.stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (this.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (this.stderr += text));
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal }));
      child.once('error', (error) => resolve({ error }));
    });
    running.add(this);
  }

  async listening() {
    const found = new Promise((resolve) => {
      this.child.stdout.on('data', () => LISTENING.test(this.stdout) && resolve('listening'));
    });
    const outcome = await Promise.race([found, this.exited, timer(START_MS)]);
    if (outcome !== 'listening') {
      this.kill();
      throw new Error(`gossipd did not start (${JSON.stringify(outcome)}): ${this.stdout}${this.stderr}`);
    }
    const [, url, port] = LISTENING.exec(this.stdout);
    this.url = url;
    this.port = Number(port);
    return this;
  }

  /** Ends the daemon as an operator would; fails unless it leaves cleanly. */
  async stop() {
    this.child.kill('SIGTERM');
    const outcome = await Promise.race([this.exited, timer(STOP_MS)]);
    this.kill();
    if (outcome.code !== 0) {
      throw new Error(`gossipd did not end with 0 on SIGTERM (${JSON.stringify(outcome)}): ${this.stderr}`);
    }
  }

  kill() {
    if (!running.delete(this)) return;
    this.child.kill('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function timer(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms, { timedOutAfterMs: ms }).unref());
}

/**
 * Runs gossipd on a free port and an empty database; `env` overrides a
 * variable or, with `undefined`, removes it. Rates are lifted, since a test
 * asks for more in a second than one person does.
 */
export async function startServer({ args = [], env = {} } = {}) {
  if (!existsSync(BINARY)) {
    throw new Error(`no gossipd at ${BINARY}: run "cargo build -p gossipd", or set GOSSIPD_BIN`);
  }
  const directory = await mkdtemp(path.join(tmpdir(), 'gossipd-'));
  const settings = {
    PATH: process.env.PATH,
    WS_HOST: '127.0.0.1',
    WS_PORT: '0',
    DATABASE_URL: `sqlite://${path.join(directory, 'gossip.db')}`,
    JWT_SECRET: SECRET,
    ROOM_ACCESS: 'claims',
    RATE_LIMIT_MODE: 'observe',
    LOG_LEVEL: 'warn',
    ...env,
  };
  const child = spawn(BINARY, args, { cwd: directory, env: settings, stdio: ['ignore', 'pipe', 'pipe'] });
  return new Server(child, directory).listening();
}
