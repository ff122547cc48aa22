//! One connection's part of the load: it keeps its window of votes full until the time is over, then waits for what is
//! still unanswered. Each place in the window walks over intents of its own, so that a user never has two votes on one
//! intent under way and every vote changes something.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use gossip_proto::id::IntentId;
use hdrhistogram::Histogram;

use super::walk::Walk;
use crate::client::{Connection, Frame, Reply, push_pong, push_text, read_reply};
use crate::error::Error;
use crate::report::histogram;

/// When votes are sent, and which of their acks count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub(super) measure_from: Instant,
    pub(super) until: Instant,
}

/// What all voters found, added up as they go.
#[derive(Debug)]
pub(super) struct Board {
    /// Microseconds from sending a vote to its ack, of the acks within the measured time.
    pub(super) latency: Histogram<u64>,
    /// The same of all acks since somebody last looked.
    pub(super) latest: Histogram<u64>,
    /// Acks over all the time.
    pub(super) acked: u64,
    pub(super) refused: u64,
    pub(super) first_refusal: Option<String>,
}

impl Board {
    pub(super) fn new() -> Board {
        Board { latency: histogram(), latest: histogram(), acked: 0, refused: 0, first_refusal: None }
    }
}

/// A connection with its window.
#[derive(Debug)]
pub(super) struct Voter {
    connection: Connection,
    intents: Arc<[IntentId]>,
    places: Vec<Place>,
    under_way: usize,
    text: Vec<u8>,
}

/// A place in the window. The ids of its votes are its index plus a multiple of the window's size.
#[derive(Debug)]
struct Place {
    walk: Walk,
    id: u64,
    sent: Instant,
    waits: bool,
}

impl Voter {
    /// With `window` votes under way on `connection`; `seed` decides upon their order.
    pub(super) fn new(connection: Connection, intents: Arc<[IntentId]>, window: usize, seed: u64) -> Voter {
        let now = Instant::now();
        let place = |index: usize| Place {
            walk: Walk::new(index, window, intents.len(), seed.wrapping_mul(1 << 20).wrapping_add(index as u64)),
            id: index as u64,
            sent: now,
            waits: false,
        };
        let places = (0..window).map(place).collect();
        Voter { connection, intents, places, under_way: 0, text: Vec::new() }
    }

    /// Votes, and adds to the board, until every vote is answered.
    ///
    /// # Errors
    /// Where the connection breaks, or an answer belongs to no vote.
    pub(super) async fn run(mut self, schedule: Schedule, board: Arc<Mutex<Board>>) -> Result<(), Error> {
        let now = Instant::now();
        for index in 0..self.places.len() {
            self.vote(index, now);
        }
        self.connection.flush().await?;
        while self.under_way > 0 {
            self.connection.fill().await?;
            self.take(schedule, &mut board.lock().unwrap_or_else(PoisonError::into_inner))?;
            self.connection.flush().await?;
        }
        Ok(())
    }

    /// Takes what came, and puts the next votes into the places that are free.
    fn take(&mut self, schedule: Schedule, board: &mut Board) -> Result<(), Error> {
        let now = Instant::now();
        let measured = now >= schedule.measure_from && now < schedule.until;
        loop {
            let reply = match self.connection.inbound.next()? {
                Some(Frame::Text(text)) => read_reply(text),
                Some(Frame::Ping(payload)) => {
                    push_pong(&mut self.connection.out, payload);
                    continue;
                }
                Some(Frame::Close(reason)) => {
                    return Err(Error::Broken(format!("closed: {}", String::from_utf8_lossy(reason))));
                }
                Some(Frame::Other) => continue,
                None => return Ok(()),
            };
            let (id, refusal) = match reply {
                Reply::Done(id) => (id, None),
                Reply::Refused(id, why) => (id, Some(why)),
                Reply::Other(text) => return Err(Error::Broken(format!("no answer to a vote: {text}"))),
            };
            let window = self.places.len();
            let index = usize::try_from(id % window as u64).unwrap_or(0);
            let place = &mut self.places[index];
            if !place.waits || place.id != id {
                return Err(Error::Broken(format!("an answer to no vote that is under way: {id}")));
            }
            place.waits = false;
            place.id += window as u64;
            self.under_way -= 1;
            match refusal {
                None => {
                    board.acked += 1;
                    let micros = u64::try_from(now.duration_since(place.sent).as_micros()).unwrap_or(u64::MAX);
                    board.latest.saturating_record(micros);
                    if measured {
                        board.latency.saturating_record(micros);
                    }
                }
                Some(why) => {
                    board.refused += 1;
                    board.first_refusal.get_or_insert(why);
                }
            }
            if now < schedule.until {
                self.vote(index, now);
            }
        }
    }

    fn vote(&mut self, index: usize, now: Instant) {
        let place = &mut self.places[index];
        let step = place.walk.step();
        let action = if step.odd { "downvote" } else { "upvote" };
        self.text.clear();
        // Writing to a Vec does not fail.
        let _ = write!(
            self.text,
            r#"{{"id":{},"event":"vote_gossip","data":{{"intentId":"{}","action":"{action}"}}}}"#,
            place.id, self.intents[step.number]
        );
        push_text(&mut self.connection.out, &self.text);
        place.sent = now;
        place.waits = true;
        self.under_way += 1;
    }
}
