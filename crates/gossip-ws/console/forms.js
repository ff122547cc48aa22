// Forms that say what is wrong where it is wrong: the server names the field, and the message goes below it.

import { uuid } from './dom.js';

let ids = 0;

const CONTROLS = 'input, textarea, select';

/** Ties each field's label, hint and error to its control, by ids that a template cannot have. */
export function wireFields(root) {
  for (const field of root.querySelectorAll('.field')) {
    const control = field.querySelector(CONTROLS);
    control.id = `field-${(ids += 1)}`;
    field.querySelector('label').htmlFor = control.id;
    field.querySelector('.error').id = `${control.id}-error`;
    const hint = field.querySelector(':scope > small');
    if (hint) hint.id = `${control.id}-hint`;
    describe(control, false);
  }
}

function describe(control, isWrong) {
  const parts = [isWrong && `${control.id}-error`, `${control.id}-hint`];
  const known = parts.filter((id) => id && control.closest('.field').querySelector(`#${id}`));
  if (known.length) control.setAttribute('aria-describedby', known.join(' '));
  else control.removeAttribute('aria-describedby');
  control.setAttribute('aria-invalid', String(isWrong));
}

/** Takes away what an earlier try left. */
export function clearErrors(form) {
  for (const error of form.querySelectorAll('.error, .form-error')) error.textContent = '';
  for (const control of form.querySelectorAll(CONTROLS)) describe(control, false);
}

/** Shows a failure of the server's, or one of our own in the same shape: `{message, field?, retryAfterMs?}`. */
export function showError(form, { message, field, retryAfterMs }) {
  const control = field && form.elements[field];
  const place = control && control.closest('.field').querySelector('.error');
  const wait = retryAfterMs ? ` Try again in ${Math.ceil(retryAfterMs / 1000)} s.` : '';
  if (!place) {
    form.querySelector('.form-error').textContent = `${sentence(message)}${wait}`;
    return;
  }
  place.textContent = `${sentence(message)}${wait}`;
  describe(control, true);
  const fold = control.closest('details');
  if (fold) fold.open = true;
  control.focus();
}

/** The server's messages are clauses; here they stand alone. */
export function sentence(message) {
  const text = message || 'That did not work';
  const end = /[.!?]$/.test(text) ? '' : '.';
  return `${text[0].toUpperCase()}${text.slice(1)}${end}`;
}

/** Runs `action` at each submit, one at a time; what it throws is shown in the form. */
export function onSubmit(form, action) {
  let busy = false;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    form.setAttribute('aria-busy', 'true');
    clearErrors(form);
    try {
      await action(event.submitter);
    } catch (error) {
      showError(form, error);
    } finally {
      busy = false;
      form.removeAttribute('aria-busy');
    }
  });
}

/** Lets Ctrl+Enter send what is being written, and the box grow with it. */
export function sendsByKey(textarea) {
  textarea.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    textarea.form.requestSubmit();
  });
  textarea.addEventListener('input', () => grow(textarea));
}

export function grow(textarea) {
  textarea.style.height = 'auto';
  textarea.style.height = textarea.value ? `${textarea.scrollHeight + 2}px` : '';
}

/**
 * One id for one thing to say, so that pressing the button again after a lost
 * connection says it once: kept until the words change or have arrived.
 */
export class RequestIds {
  #said;
  #id;

  for(data) {
    const said = JSON.stringify(data);
    if (said !== this.#said) this.#id = uuid();
    this.#said = said;
    return this.#id;
  }

  done() {
    this.#said = undefined;
  }
}
