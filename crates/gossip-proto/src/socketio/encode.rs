//! Socket.IO packets as the Engine.IO text that carries them, the `4` included. It checks none of the JSON it is given.

use std::fmt::Write as _;

/// `40{…}`: the namespace is open. `payload` is the JSON object with the `sid`.
#[must_use]
pub fn encode_connect(nsp: &str, payload: &str) -> String {
    let mut out = head('0', nsp, 0, payload.len());
    out.push_str(payload);
    out
}

/// `44{…}`: the namespace is refused. `payload` is a JSON object with a `message`, and `data` if there is more to say.
#[must_use]
pub fn encode_connect_error(nsp: &str, payload: &str) -> String {
    let mut out = head('4', nsp, 0, payload.len());
    out.push_str(payload);
    out
}

/// `41`: the server ends the client's presence in the namespace.
#[must_use]
pub fn encode_disconnect(nsp: &str) -> String {
    head('1', nsp, 0, 0)
}

/// `42["name",arg…]`, or `45<n>-["name",arg…]` when `attachments` > 0: that many binary messages must follow, and `args`
/// hold their placeholders already. Each of `args` must be valid JSON; `name` may be any text.
#[must_use]
pub fn encode_event(nsp: &str, name: &str, args: &[&str], attachments: usize) -> String {
    let kind = if attachments > 0 { '5' } else { '2' };
    let mut out = head(kind, nsp, attachments, name.len() + 4 + size(args));
    out.push('[');
    crate::json::push_str(&mut out, name);
    for arg in args {
        out.push(',');
        out.push_str(arg);
    }
    out.push(']');
    out
}

/// `43<id>[arg…]`, or `46<n>-<id>[arg…]` when `attachments` > 0; otherwise as [`encode_event`].
#[must_use]
pub fn encode_ack(nsp: &str, id: u64, args: &[&str], attachments: usize) -> String {
    let kind = if attachments > 0 { '6' } else { '3' };
    let mut out = head(kind, nsp, attachments, 22 + size(args));
    push_number(&mut out, id);
    out.push('[');
    for (index, arg) in args.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(arg);
    }
    out.push(']');
    out
}

fn size(args: &[&str]) -> usize {
    args.iter().map(|arg| arg.len() + 1).sum()
}

/// What all packets begin with, and room for `more` bytes after it. The main namespace goes unnamed.
fn head(kind: char, nsp: &str, attachments: usize, more: usize) -> String {
    let mut out = String::with_capacity(24 + nsp.len() + more);
    out.push('4');
    out.push(kind);
    if attachments > 0 {
        push_number(&mut out, attachments as u64);
        out.push('-');
    }
    if nsp != "/" {
        out.push_str(nsp);
        out.push(',');
    }
    out
}

fn push_number(out: &mut String, number: u64) {
    // Writing to a String does not fail.
    let _ = write!(out, "{number}");
}
