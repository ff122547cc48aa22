//! The `auth` of a Socket.IO handshake (contract §1 and §4, Resume): read here, judged elsewhere.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

use super::Token;
use super::fields::{Fields, Wrong, id, text, whole_number};
use crate::id::{Pid, RoomId, Seq, UserId};
use crate::refusal::{Code, Refusal};

/// The `auth` of a Socket.IO handshake (contract §1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename_all = "camelCase"))]
pub struct Handshake {
    /// The JWT; without one the socket may still send `authenticate`.
    pub token: Option<Token>,
    /// Must equal the token's `sub`.
    pub user_id: Option<UserId>,
    /// The rooms to go on in, each with the last event the client has (contract §4, Resume).
    #[cfg_attr(feature = "schema", schemars(with = "Option<std::collections::BTreeMap<RoomId, Seq>>"))]
    pub resume: Vec<(RoomId, Seq)>,
    /// The client asks for Socket.IO's connection state recovery (contract §4).
    #[cfg_attr(feature = "schema", schemars(with = "Option<bool>"))]
    pub recover: Option<Recover>,
}

/// What the stock client adds to a handshake when it comes back, as it was given it; nothing at first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recover {
    /// Its connection.
    pub pid: Option<Pid>,
    /// The last offset that came with an event.
    pub offset: Option<String>,
}

impl Handshake {
    /// Reads it; members that nobody asks for are ignored.
    ///
    /// # Errors
    /// `invalid_token`, its message naming the member at fault; `invalid_input` for a bad `resume`.
    pub fn parse(auth: Option<&RawValue>) -> Result<Handshake, Refusal> {
        let Some(auth) = auth else { return Ok(Handshake::default()) };
        let bad_token = |wrong: Refusal| {
            let message = format!("{} {}", wrong.field.unwrap_or("auth"), wrong.message);
            Refusal::new(Code::InvalidToken, message)
        };
        let fields = Fields::read(Some(auth)).map_err(bad_token)?;
        let token = fields.optional("token", |raw| text(raw).map(Token)).map_err(bad_token)?;
        let user_id = fields.optional("userId", id).map_err(bad_token)?;
        let resume: Vec<(RoomId, Seq)> = fields.optional("resume", resumed_rooms)?.unwrap_or_default();
        if token.is_none() && !resume.is_empty() {
            return Err(Refusal::invalid("resume", "needs a token beside it"));
        }
        let asks = fields.optional("recover", truth)?.unwrap_or(false);
        if token.is_none() && asks {
            return Err(Refusal::invalid("recover", "needs a token beside it"));
        }
        // Not the app's but the client library's: one that is not ours begins anew.
        let recover = asks.then(|| Recover {
            pid: fields.optional("pid", id).ok().flatten(),
            offset: fields.optional("offset", text).ok().flatten(),
        });
        Ok(Handshake { token, user_id, resume, recover })
    }
}

fn truth(raw: &RawValue) -> Result<bool, Wrong> {
    serde_json::from_str(raw.get()).map_err(|_| Wrong::from("must be true or false"))
}

fn resumed_rooms(raw: &RawValue) -> Result<Vec<(RoomId, Seq)>, Wrong> {
    let wrong = || Wrong::from("must be an object with room ids as names and whole numbers as values");
    let rooms: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
    let read = |(room, seq): (&Cow<'_, str>, &&RawValue)| Some((room.parse().ok()?, whole_number(seq).map(Seq).ok()?));
    // A room may be spelled in two ways; it is one.
    let rooms: HashMap<RoomId, Seq> = rooms.iter().map(read).collect::<Option<_>>().ok_or_else(wrong)?;
    Ok(rooms.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: &str = "018f2a3e-0000-7000-8000-000000000001";

    #[test]
    fn who_asks_to_be_recovered_may_bring_a_pid_and_an_offset() {
        let parse = |auth: &str| Handshake::parse(Some(serde_json::from_str(auth).unwrap()));
        let recover = |more: &str| parse(&format!(r#"{{"token":"x",{more}}}"#)).unwrap().recover;
        let pid = ROOM.parse().ok();
        let both = format!(r#""recover":true,"pid":"{ROOM}","offset":"7""#);
        assert_eq!(recover(&both), Some(Recover { pid, offset: Some("7".into()) }));
        assert_eq!(recover(r#""recover":true,"pid":"x","offset":5"#), Some(Recover::default()));
        assert_eq!(recover(&both.replace("true", "false")), None);
        assert_eq!(recover(&format!(r#""pid":"{ROOM}""#)), None);
        assert_eq!(parse(r#"{"token":"x","recover":1}"#).unwrap_err().field, Some("recover"));
        assert_eq!(parse(r#"{"recover":true}"#).unwrap_err().field, Some("recover"));
    }

    #[test]
    fn a_handshake_may_lack_a_token_but_not_misspell_it() {
        let parse = |auth: &str| Handshake::parse(Some(serde_json::from_str(auth).unwrap()));
        assert_eq!(parse(r#"{"token":null,"other":1}"#), Ok(Handshake::default()));
        let refusal = parse(r#"{"token":5}"#).unwrap_err();
        assert_eq!((refusal.code, &*refusal.message), (Code::InvalidToken, "token must be a string"));
        assert_eq!(parse(r#"{"token":"x","userId":"me"}"#).unwrap_err().code, Code::InvalidToken);
        let resume = |resume: &str| parse(&format!(r#"{{"token":"x","resume":{resume}}}"#));
        assert_eq!(resume(&format!(r#"{{"{ROOM}":7}}"#)).unwrap().resume, [(ROOM.parse().unwrap(), Seq(7))]);
        assert_eq!(resume("null").unwrap().resume, []);
        for bad in ["[]".to_owned(), "5".into(), r#"{"x":1}"#.into(), format!(r#"{{"{ROOM}":"1"}}"#)] {
            assert_eq!(resume(&bad).unwrap_err().field, Some("resume"), "{bad}");
        }
        assert_eq!(parse(&format!(r#"{{"resume":{{"{ROOM}":7}}}}"#)).unwrap_err().field, Some("resume"));
    }
}
