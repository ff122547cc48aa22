// A request on a connection of its own, which ends with the answer. `fetch` keeps connections for later, and servers are
// killed here.
import { request } from 'node:http';

/** Resolves with `{status, headers, json()}` once all of it is there. */
export function send(method, url, token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  return new Promise((resolve, reject) => {
    const answered = (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (part) => { body += part; });
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode, headers: response.headers, json: () => JSON.parse(body) });
      });
    };
    request(url, { method, agent: false, headers }, answered).on('error', reject).end();
  });
}

export const get = (url, token) => send('GET', url, token);
