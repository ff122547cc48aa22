// A request on a connection of its own, which ends with the answer. `fetch` keeps connections for later, and servers are
// killed here.
import { request } from 'node:http';

/** Resolves with `{status, headers, json()}` once all of it is there; with a `body`, that is sent as JSON. */
export function send(method, url, token, body, more = {}) {
  const headers = token ? { Authorization: `Bearer ${token}`, ...more } : { ...more };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  return new Promise((resolve, reject) => {
    const answered = (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part) => { text += part; });
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode, headers: response.headers, json: () => JSON.parse(text) });
      });
    };
    request(url, { method, agent: false, headers }, answered).on('error', reject).end(body && JSON.stringify(body));
  });
}

export const post = (url, token, body) => send('POST', url, token, body);
export const get = (url, token, more) => send('GET', url, token, undefined, more);
