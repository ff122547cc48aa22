//! What clients do, one operation after another, as it is made from a fuzzer's bytes. Rooms, intents, users and sockets are
//! named by small numbers, so that operations meet; what they come to is decided when they are carried out.

use arbitrary::{Arbitrary, Result, Unstructured};

/// More would be slow and show nothing new.
const MAX_STEPS: usize = 48;

/// The operations of one run.
#[derive(Debug)]
pub struct Script(pub(crate) Vec<Step>);

impl<'a> Arbitrary<'a> for Script {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let mut steps = Vec::new();
        // As many as there are bytes for; a list of its own accord would end after every second element.
        while !bytes.is_empty() && steps.len() < MAX_STEPS {
            steps.push(Step::arbitrary(bytes)?);
        }
        Ok(Script(steps))
    }
}

#[derive(Debug, Arbitrary)]
pub(crate) enum Step {
    /// A new socket; with somebody it comes with a token in its handshake.
    Open { who: Option<Who>, resume: Option<(u8, u8)>, is_tracked: bool },
    /// The socket is gone; a client that says goodbye is not to be recovered.
    Drop { socket: u8, says_goodbye: bool },
    /// A tracked client that was dropped, or was not noticed to be, comes back.
    Return { socket: u8 },
    /// An event of a client.
    Ask { socket: u8, event: Event },
    /// The socket's events wait in the kernel, or no longer.
    Slow { socket: u8, is_behind: bool },
    /// The server speaks.
    Broadcast { room: u8 },
    /// The clock goes on.
    Later { minutes: u8 },
    /// Everything asked so far is answered before it goes on.
    Settle,
}

/// Somebody with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub(crate) enum Who {
    /// A user of the first two rooms.
    Ann,
    /// A user of the first room.
    Bob,
    /// An admin.
    Eve,
    /// A user whose token ends in a minute.
    Tim,
    /// Nobody: the token is wrong.
    Nobody,
}

#[derive(Debug, Arbitrary)]
pub(crate) enum Event {
    Authenticate {
        who: Who,
        claims_to_be: Option<Who>,
    },
    Join {
        room: u8,
        since: Option<u8>,
        history: Option<u8>,
    },
    Leave {
        room: u8,
    },
    Post {
        room: u8,
        content: Words,
        metadata: Option<Words>,
        minutes: Option<u16>,
        request: Option<u8>,
    },
    Vote {
        intent: u8,
        action: Action,
    },
    Comment {
        intent: u8,
        content: Words,
        request: Option<u8>,
    },
    Update {
        intent: u8,
        status: Status,
        reason: Option<Words>,
        request: Option<u8>,
    },
    ListGossip {
        room: u8,
        limit: Option<u8>,
        before: Option<u8>,
        status: Option<Status>,
    },
    Get {
        intent: u8,
    },
    ListUpdates {
        intent: u8,
        limit: Option<u8>,
        before: Option<u8>,
    },
    /// Any name with any data.
    Raw {
        name: u8,
        data: Words,
        ack: bool,
    },
}

#[derive(Debug, Clone, Copy, Arbitrary)]
pub(crate) enum Action {
    Upvote,
    Downvote,
    Remove,
    Wrong,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
pub(crate) enum Status {
    Pending,
    Verified,
    Debunked,
    Expired,
    Wrong,
}

/// A short text, perhaps many times over.
#[derive(Debug)]
pub(crate) struct Words(pub(crate) String);

impl<'a> Arbitrary<'a> for Words {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let shape = u8::arbitrary(bytes)?;
        let text = bytes.bytes(usize::from(shape % 16).min(bytes.len()))?;
        let times = if shape >= 0xf0 { 400 } else { 1 };
        Ok(Words(String::from_utf8_lossy(text).repeat(times)))
    }
}

impl Action {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Action::Upvote => "upvote",
            Action::Downvote => "downvote",
            Action::Remove => "remove",
            Action::Wrong => "up",
        }
    }
}

impl Status {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Verified => "verified",
            Status::Debunked => "debunked",
            Status::Expired => "expired",
            Status::Wrong => "gone",
        }
    }
}
