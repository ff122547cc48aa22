// Who is here: a token, pasted or lent by a server that runs with `--dev`, kept for this tab alone and never in an
// address. Whether it is good is for the server to say; what is read from it here only decides what is offered.
import { byId } from './dom.js';
import { onSubmit, showError } from './forms.js';

const KEPT = 'gossipd.token';

/** The claims of a JWT, `{}` of anything else. */
function claims(token) {
  try {
    const bytes = atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/'));
    return JSON.parse(bytes) ?? {};
  } catch {
    return {};
  }
}

/** What the page knows of its user, shared by all that draw. */
export class Session {
  token = null;
  userId = null;
  role = 'user';

  get isAdmin() {
    return this.role === 'admin';
  }

  get maySeeFigures() {
    return this.role === 'admin' || this.role === 'service';
  }

  take(token) {
    const { sub, role } = claims(token);
    this.token = token;
    this.userId = typeof sub === 'string' ? sub.toLowerCase() : null;
    this.role = ['admin', 'service'].includes(role) ? role : 'user';
  }

  keep() {
    sessionStorage.setItem(KEPT, this.token);
  }

  forget() {
    sessionStorage.clear();
    Object.assign(this, { token: null, userId: null, role: 'user' });
  }

  static kept() {
    return sessionStorage.getItem(KEPT);
  }
}

export class SignIn {
  #form = byId('token-form');

  /** `onToken` opens a connection with it. */
  constructor(onToken) {
    onSubmit(this.#form, () => {
      const token = this.#form.elements.token.value.trim();
      if (!token) throw { field: 'token', message: 'Paste a token first' };
      onToken(token);
    });
    for (const button of byId('dev').querySelectorAll('button')) {
      button.addEventListener('click', () => this.#borrow(button.dataset.role).then(onToken, (error) => showError(this.#form, error)));
    }
  }

  async #borrow(role) {
    const answer = await fetch(`dev/token?role=${role}`, { cache: 'no-store' }).catch(() => null);
    if (answer?.ok) return (await answer.json()).token;
    throw { message: answer?.status === 403 ? 'A token is lent on the machine of the server only' : 'The server gave no token' };
  }

  offerDev() {
    byId('dev').hidden = false;
  }

  /** Shows the form, with why it is there again. */
  show(error) {
    byId('sign-in').hidden = false;
    if (error) showError(this.#form, error);
    else this.#form.elements.token.focus();
  }

  hide() {
    byId('sign-in').hidden = true;
    this.#form.reset();
  }
}
