// Starts and stops the daemon under test, each on a directory of its own.
import { spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import net from 'node:net';
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
// The last listener ends the process: Node's own teardown now and then spins for ever after servers were killed (its
// CPU busy in native code, every test done), and there is nothing left for it to do.
process.once('beforeExit', () => process.on('exit', () => process.exit()));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    killAll();
    process.exit(1);
  });
}

class Server {
  constructor(directory, args, settings) {
    this.directory = directory;
    this.args = args;
    this.settings = settings;
    running.add(this);
  }

  /** Runs the daemon, the first time or again: then on the same port, with the same database. */
  async start(env = {}) {
    const settings = { ...this.settings, ...env };
    if (this.port) settings.WS_PORT = String(this.port);
    this.child = spawn(BINARY, this.args, { cwd: this.directory, env: settings, stdio: ['ignore', 'pipe', 'pipe'] });
    this.stdout = '';
    this.stderr = '';
    this.child.stdout.setEncoding('utf8').on('data', (text) => (this.stdout += text));
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.stderr += text));
    this.exited = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => resolve({ code, signal }));
      this.child.once('error', (error) => resolve({ error }));
    });
    return this.#listening();
  }

  async #listening() {
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

  /** Ends the daemon with no time for anything, to be started again. */
  async crash() {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** Ends the daemon as an operator would, to be started again; fails unless it leaves cleanly. */
  async drain() {
    this.child.kill('SIGTERM');
    const outcome = await Promise.race([this.exited, timer(STOP_MS)]);
    if (outcome.code !== 0) {
      throw new Error(`gossipd did not end with 0 on SIGTERM (${JSON.stringify(outcome)}): ${this.stderr}`);
    }
  }

  /** Ends the daemon for good. */
  async stop() {
    try {
      await this.drain();
    } finally {
      this.kill();
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
 * A free port for a daemon that ends and comes back: not one of those that
 * the system gives to whoever connects meanwhile.
 */
export async function lastingPort() {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 15_000);
    const probe = net.createServer();
    const isFree = await new Promise((resolve) => {
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
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
  return new Server(directory, args, settings).start();
}
