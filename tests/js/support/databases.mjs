// The databases that a test may run on: SQLite, and Postgres where TEST_POSTGRES_URL names a server on which databases
// may be created and dropped.
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';

const POSTGRES = process.env.TEST_POSTGRES_URL;

async function psql(sql) {
  await promisify(execFile)('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', POSTGRES, '-c', sql]);
}

/** Each makes an empty one: the variables that name it, and how to drop it. */
export const DATABASES = {
  SQLite: async () => ({ env: {}, drop: async () => {} }),
  ...(POSTGRES && {
    Postgres: async () => {
      const name = `gossipd_js_${randomUUID().replaceAll('-', '')}`;
      await psql(`CREATE DATABASE ${name}`);
      const url = new URL(POSTGRES);
      url.pathname = `/${name}`;
      return { env: { DATABASE_URL: url.href }, drop: () => psql(`DROP DATABASE ${name} WITH (FORCE)`) };
    },
  }),
};
