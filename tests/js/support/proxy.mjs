// A TCP proxy that can drop what runs through it, as a bad network does.
import { once } from 'node:events';
import net from 'node:net';

export async function startProxy(t, port) {
  const connections = new Set();
  let open = true;
  let dead = false;

  /** From here on the two ends hear nothing of each other. */
  const lose = (connection) => {
    connection.isLost = true;
    connection.client.unpipe().pause();
    connection.upstream.unpipe().pause();
  };
  const server = net.createServer((client) => {
    if (!open) return void client.resetAndDestroy();
    const upstream = net.connect(port, '127.0.0.1');
    const connection = { client, upstream };
    connections.add(connection);
    for (const [from, to] of [[client, upstream], [upstream, client]]) {
      from.on('error', () => connection.isLost || to.destroy());
      from.on('close', () => {
        if (!connection.isLost) to.destroy();
        if (client.destroyed && upstream.destroyed) connections.delete(connection);
      });
      from.pipe(to);
    }
    if (dead) lose(connection);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const cut = () => {
    open = false;
    for (const { client, upstream } of connections) {
      client.resetAndDestroy();
      upstream.resetAndDestroy();
    }
  };
  t.after(() => {
    cut();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Resets every connection and refuses new ones until `restore`. */
    cut,
    restore: () => {
      open = true;
      dead = false;
    },
    /** Passes nothing on and closes nothing, as a cable that is pulled; after `restore`, new connections work. */
    stall: () => {
      dead = true;
      connections.forEach(lose);
    },
    /** As `cut`, but the server notices nothing. */
    abandon: () => {
      open = false;
      for (const connection of connections) {
        lose(connection);
        connection.client.resetAndDestroy();
      }
    },
  };
}
