// A TCP proxy that can drop what runs through it, as a bad network does.
import { once } from 'node:events';
import net from 'node:net';

export async function startProxy(t, port) {
  const sockets = new Set();
  let open = true;

  const server = net.createServer((client) => {
    if (!open) return void client.resetAndDestroy();
    const upstream = net.connect(port, '127.0.0.1');
    for (const [from, to] of [[client, upstream], [upstream, client]]) {
      sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const cut = () => {
    open = false;
    for (const socket of sockets) socket.resetAndDestroy();
  };
  t.after(() => {
    cut();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Resets every connection and refuses new ones until `restore`. */
    cut,
    restore: () => void (open = true),
  };
}
