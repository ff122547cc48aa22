// nginx and HAProxy in front of gossipd, each with the file that deploy/ has for it: ports, paths, servers and how many
// clients are put into a copy, and nothing else is changed. They run in the foreground, on free ports, in a folder of their own.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { chmod, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { lastingPort } from './server.mjs';

const DEPLOY = fileURLToPath(new URL('../../../deploy/', import.meta.url));
const START_MS = 10_000;
const ASK_AGAIN_MS = 10;
// Debian's packages put them where a user's PATH may not lead.
const PATH = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`;

const running = new Set();
process.on('exit', () => running.forEach((proxy) => proxy.end()));

/** `text` with each `[from, to]` put in place; a shipped file that no longer has one of them is a failure. */
function placed(text, places) {
  for (const [from, to] of places) {
    assert.equal(text.split(from).length, 2, `the shipped file has once: ${from}`);
    text = text.replace(from, () => to);
  }
  return text;
}

/** The lines of the servers, one for each port; the shipped file has one, and a second in a comment. */
function servers(ports, line, second) {
  assert.ok(ports.length <= 2);
  return [[line(3000), line(ports[0])], ...(ports[1] ? [[second, line(ports[1], 'two')]] : [])];
}

const KINDS = {
  nginx: {
    async configure(folder, { http, https }, ports) {
      const line = (port) => `server 127.0.0.1:${port} fail_timeout=1s;`;
      const shipped = await readFile(path.join(DEPLOY, 'nginx/gossipd.conf'), 'utf8');
      await writeFile(path.join(folder, 'gossipd.conf'), placed(shipped, [
        ['listen 80;', `listen 127.0.0.1:${http};`],
        ['    listen 443 ssl;\n', `    listen 127.0.0.1:${https} ssl;\n`],
        ['/etc/ssl/private/feed.example.org.pem', path.join(folder, 'certificate.pem')],
        ['/etc/ssl/private/feed.example.org.key', path.join(folder, 'key.pem')],
        ...servers(ports, line, '# server 127.0.0.1:3001 fail_timeout=1s;'),
      ]));
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
      await writeFile(path.join(folder, 'nginx.conf'), `
        ${process.getuid() === 0 ? 'user root;' : ''}
        worker_processes 2;
        pid nginx.pid;
        error_log stderr warn;
        worker_rlimit_nofile 4096;
        events { worker_connections 2048; }
        http {
          access_log off;
          ${temporary.map((name) => `${name}_temp_path ${name};`).join(' ')}
          include gossipd.conf;
        }`);
      return ['nginx', '-p', folder, '-c', 'nginx.conf', '-e', 'stderr', '-g', 'daemon off;'];
    },
  },
  HAProxy: {
    async configure(folder, { http, https }, ports) {
      const line = (port, name = 'one') => `server ${name} 127.0.0.1:${port}\n`;
      const shipped = await readFile(path.join(DEPLOY, 'haproxy/haproxy.cfg'), 'utf8');
      await writeFile(path.join(folder, 'haproxy.cfg'), placed(shipped, [
        ['maxconn 20000\n', 'maxconn 2000\n'],
        ['bind :80\n', `bind 127.0.0.1:${http}\n`],
        ['bind :443 ssl crt /etc/haproxy/feed.example.org.pem ', `bind 127.0.0.1:${https} ssl crt both.pem `],
        ...servers(ports, line, '# server two 127.0.0.1:3001\n'),
      ]));
      return ['haproxy', '-db', '-f', 'haproxy.cfg'];
    },
  },
};

export const PROXIES = Object.keys(KINDS);

async function certificate(folder) {
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=feed.example.org', '-addext', 'subjectAltName=IP:127.0.0.1',
    '-keyout', 'key.pem', '-out', 'certificate.pem'];
  await promisify(execFile)('openssl', args, { cwd: folder });
  const [public_, private_] = await Promise.all(['certificate.pem', 'key.pem'].map((name) => readFile(path.join(folder, name))));
  await writeFile(path.join(folder, 'both.pem'), Buffer.concat([public_, private_]));
  return public_;
}

class Proxy {
  async start(kind, ports) {
    this.folder = await mkdtemp(path.join(tmpdir(), 'gossipd-proxy-'));
    running.add(this);
    await chmod(this.folder, 0o755);
    this.ca = await certificate(this.folder);
    this.ports = { http: await lastingPort(), https: await lastingPort() };
    this.url = `https://127.0.0.1:${this.ports.https}`;
    const [program, ...args] = await KINDS[kind].configure(this.folder, this.ports, ports);
    this.said = '';
    this.child = spawn(program, args, { cwd: this.folder, env: { PATH }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.exited = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => resolve({ code, signal }));
      this.child.once('error', (error) => resolve({ error }));
    });
    // Workers included: they hold its output open.
    this.closed = new Promise((resolve) => { this.child.once('close', resolve); });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => { this.said += text; });
    }
    const deadline = Date.now() + START_MS;
    while (!(await reachable(this.ports.https))) {
      const ended = await Promise.race([this.exited, pause(ASK_AGAIN_MS)]);
      assert.ok(!ended && Date.now() < deadline, `${kind} did not start (${JSON.stringify(ended)}): ${this.said}`);
    }
    return this;
  }

  async stop() {
    this.end();
    await this.closed;
  }

  end() {
    if (!running.delete(this)) return;
    // Not SIGKILL: nginx's workers would outlive it.
    this.child?.kill('SIGTERM');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function reachable(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Runs a proxy in front of the servers at `ports`, one or two. */
export async function startReverse(kind, ports) {
  return new Proxy().start(kind, ports);
}
