// JSON Web Tokens for the tests: good ones, and ones that are broken in one way each.
import { createHmac, randomUUID } from 'node:crypto';

export const SECRET = 'a secret of the end-to-end tests, used nowhere else';

const HASHES = { HS256: 'sha256', HS384: 'sha384', HS512: 'sha512' };

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Seconds since the epoch, `offset` seconds from now. */
export const seconds = (offset = 0) => Math.floor(Date.now() / 1000) + offset;

/** Signs any claims under any header; a member that is `undefined` is left out. */
export function sign(claims, { alg = 'HS256', secret = SECRET } = {}) {
  const body = `${encode({ alg, typ: 'JWT' })}.${encode(claims)}`;
  const hash = HASHES[alg];
  return `${body}.${hash ? createHmac(hash, secret).update(body).digest('base64url') : ''}`;
}

/** A user with a token: `{id, token, exp}`. Further claims are passed through. */
export function person({ id = randomUUID(), exp = seconds(3600), ...claims } = {}) {
  return { id, exp, token: sign({ sub: id, exp, ...claims }) };
}

/** The moment of an `exp` as the contract writes times. */
export const expiryTime = (exp) => new Date(exp * 1000).toISOString();

/** `[what is wrong, token, code]` for a user who would otherwise be let in. */
export function brokenTokens({ rooms = '*' } = {}) {
  const good = { sub: randomUUID(), exp: seconds(3600), rooms };
  const valid = sign(good);
  const [header, , signature] = valid.split('.');
  return [
    ['a wrong secret', sign(good, { secret: 'another secret, of more than thirty-two bytes' }), 'invalid_token'],
    ['alg none', sign(good, { alg: 'none' }), 'invalid_token'],
    ['alg HS512', sign(good, { alg: 'HS512' }), 'invalid_token'],
    ['claims changed after signing', `${header}.${encode({ ...good, role: 'admin' })}.${signature}`, 'invalid_token'],
    ['no signature', valid.slice(0, valid.lastIndexOf('.') + 1), 'invalid_token'],
    ['no exp', sign({ ...good, exp: undefined }), 'invalid_token'],
    ['exp as a string', sign({ ...good, exp: String(good.exp) }), 'invalid_token'],
    ['nbf in the future', sign({ ...good, nbf: seconds(600) }), 'invalid_token'],
    ['nbf as a string', sign({ ...good, nbf: 'now' }), 'invalid_token'],
    ['no sub', sign({ ...good, sub: undefined }), 'invalid_token'],
    ['a sub that is no UUID', sign({ ...good, sub: 'ann' }), 'invalid_token'],
    ['no JWT at all', 'not-a-token', 'invalid_token'],
    ['exp a second ago', sign({ ...good, exp: seconds(-1) }), 'token_expired'],
  ];
}
