// Puts the page together: the connection and its state, signing in and out, and which of the two views is shown.
import { Connection } from './connection.js';
import { byId, notify, personName, write } from './dom.js';
import { Feed } from './feed.js';
import { Figures } from './figures.js';
import { sentence, wireFields } from './forms.js';
import { Rooms } from './rooms.js';
import { Session, SignIn } from './sign-in.js';

const ROOMS = 'gossipd.rooms';
const STATES = {
  closed: 'Signed out', connecting: 'Connecting', online: 'Live', waiting: 'Reconnecting', draining: 'Restarting', ended: 'Signed out',
};
const OWN_EVENTS = new Set(['gossip_update', 'room_closed', 'server_draining', 'exception']);

wireFields(document);
const url = new URL('gossip/ws', document.baseURI);
url.protocol = url.protocol.replace('http', 'ws');
url.hash = '';

const session = new Session();
const connection = new Connection(url);
const rooms = new Rooms(connection);
const context = { connection, rooms, session };
const figures = new Figures(context);
const feed = new Feed(context, (ids, active) => {
  if (isIn) sessionStorage.setItem(ROOMS, JSON.stringify({ ids, active }));
});
const signIn = new SignIn(begin);
let isIn = false;

function begin(token) {
  const before = session.userId;
  session.take(token);
  // Another user's rooms, votes and drafts are none of this one's business.
  if (before !== session.userId) rooms.clear();
  connection.open(token);
}

function enter() {
  isIn = true;
  session.keep();
  signIn.hide();
  write(byId('identity'), `${personName(session.userId ?? '', null)} · ${session.role}`);
  byId('identity').title = session.userId ?? '';
  byId('views').hidden = byId('who').hidden = false;
  showView();
}

function restoreRooms() {
  try {
    const { ids, active } = JSON.parse(sessionStorage.getItem(ROOMS)) ?? { ids: [] };
    feed.restore(ids, active);
  } catch {
    sessionStorage.removeItem(ROOMS);
    feed.restore([]);
  }
}

function leave(error) {
  isIn = false;
  byId('views').hidden = byId('who').hidden = true;
  byId('feed').hidden = byId('figures').hidden = true;
  figures.hide();
  signIn.show(error);
}

function showView() {
  const name = location.hash === '#/figures' ? 'figures' : 'feed';
  for (const id of ['feed', 'figures']) {
    byId(id).hidden = id !== name;
    const link = byId('views').querySelector(`[href="#/${id}"]`);
    if (id === name) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = name === 'figures' ? 'Figures · gossipd' : 'Feed · gossipd';
  if (name === 'figures') figures.show();
  else figures.hide();
}

addEventListener('hashchange', () => {
  if (isIn && location.hash.startsWith('#/')) showView();
});

connection.addEventListener('ready', () => {
  if (isIn) return;
  enter();
  feed.restore(rooms.ids);
});

let countdown;
connection.addEventListener('state', ({ detail: { state, at, code, message } }) => {
  byId('connection').dataset.state = state;
  write(byId('connection-text'), STATES[state]);
  clearInterval(countdown);
  const text = { waiting: 'No connection. Trying again', draining: 'The server is restarting. This page will be back by itself.' }[state];
  if (text) write(byId('banner-text'), text);
  // While a try is under way the words stay, so that they do not flicker.
  if (state !== 'connecting') byId('banner').hidden = !text;
  byId('try-now').hidden = state !== 'waiting';
  const tick = () => write(byId('countdown'), `in ${Math.max(0, Math.ceil((at - Date.now()) / 1000))} s`);
  write(byId('countdown'), '');
  if (state === 'waiting') {
    tick();
    countdown = setInterval(tick, 500);
  }
  if (state === 'ended') leave({ message, ...(code === 'invalid_token' && !isIn && { field: 'token' }) });
});

connection.addEventListener('event', ({ detail: { event, data } }) => {
  // Those that end the connection are told of where that is shown.
  const isFinal = ['token_expired', 'not_authenticated'].includes(data?.code);
  if (event === 'exception' && !isFinal) notify(sentence(data?.message));
  const isBroadcast = !OWN_EVENTS.has(event) || (event === 'gossip_update' && !Number.isInteger(data?.seq));
  if (isBroadcast) notify(`${event}: ${JSON.stringify(data)?.slice(0, 200)}`);
});

byId('try-now').addEventListener('click', () => connection.retry());
byId('sign-out').addEventListener('click', () => {
  session.forget();
  isIn = false;
  rooms.clear();
  connection.close();
  leave();
});

// The settings first, so that what the page offers does not change under the pointer.
const settings = await fetch('console/settings.json').then((answer) => answer.json()).catch(() => ({}));
if (settings.dev) {
  signIn.offerDev();
  feed.offerNewRooms();
}
const kept = Session.kept();
if (kept) {
  session.take(kept);
  enter();
  restoreRooms();
  connection.open(kept);
} else {
  leave();
}
