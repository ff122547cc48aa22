//! A client that keeps commands in flight and reads its rooms, over as many connections as it takes: it comes back by
//! itself, resumes each room after the last event it has, and repeats what was not answered. It checks its streams as
//! they come, and what else can be known only with the database it keeps for [`super::truth`].

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gossip_core::env::Env;
use gossip_hub::SystemEnv;
use gossip_proto::id::{RoomId, UserId};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use super::line::{Dialect, Heard, Line, Recovery};
use super::manner::{Manner, PAUSE};
use super::record::{Brief, Fate, Heardsay, Sent};
use crate::support::rng::Rng;
use crate::support::server::{new_user, token};
use crate::support::within;

/// Intents of which a client says something: few, so that they are the same ones for many.
const KNOWN: usize = 24;
/// Acked commands that are repeated too after a connection was lost.
const REPEATED: usize = 2;

/// From nothing to all.
fn part(rng: &mut Rng) -> f64 {
    rng.below(1000) as f64 / 1000.0
}

/// What clients are to do.
pub(crate) enum Phase {
    Work,
    /// Send nothing new, but learn what became of everything.
    Finish,
    /// Read on to these events, and leave.
    Read(BTreeMap<RoomId, u64>),
}

/// What all clients have in common.
pub(crate) struct Shared {
    pub(crate) address: SocketAddr,
    pub(crate) heard: Heardsay,
    /// Acks of commands that were carried out.
    pub(crate) acks: watch::Sender<u64>,
    /// Answers `unavailable` and `unresolved`.
    pub(crate) refusals: watch::Sender<u64>,
    pub(crate) phase: watch::Sender<Phase>,
    /// One for each client that knows what became of everything.
    pub(crate) idle: Semaphore,
    pub(crate) manner: Manner,
}

impl Shared {
    pub(crate) fn new(address: SocketAddr, manner: Manner) -> Arc<Shared> {
        Arc::new(Shared {
            address,
            manner,
            heard: Heardsay::default(),
            acks: watch::channel(0).0,
            refusals: watch::channel(0).0,
            phase: watch::channel(Phase::Work).0,
            idle: Semaphore::new(0),
        })
    }
}

/// What came to pass, for the report.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) connections: u64,
    /// Of them, those that went on with the one before by Socket.IO's recovery.
    pub(crate) recovered: u64,
    /// Events received.
    pub(crate) events: u64,
    pub(crate) acks: u64,
    /// Commands sent again.
    pub(crate) repeats: u64,
    pub(crate) unavailable: u64,
    pub(crate) unresolved: u64,
    /// The longest from sending a command to its ack, and to its being answered with these codes.
    pub(crate) slowest_ack: Duration,
    pub(crate) slowest_unavailable: Duration,
    pub(crate) slowest_unresolved: Duration,
}

impl Figures {
    pub(crate) fn add(self, other: Figures) -> Figures {
        Figures {
            connections: self.connections + other.connections,
            recovered: self.recovered + other.recovered,
            events: self.events + other.events,
            acks: self.acks + other.acks,
            repeats: self.repeats + other.repeats,
            unavailable: self.unavailable + other.unavailable,
            unresolved: self.unresolved + other.unresolved,
            slowest_ack: self.slowest_ack.max(other.slowest_ack),
            slowest_unavailable: self.slowest_unavailable.max(other.slowest_unavailable),
            slowest_unresolved: self.slowest_unresolved.max(other.slowest_unresolved),
        }
    }
}

/// What an ack is awaited for.
enum Asked {
    /// The command with this number, sent then.
    Command(usize, Instant),
    Join(RoomId),
    Leave,
}

pub(crate) struct Client {
    pub(crate) user: UserId,
    /// The last event of each room that has come.
    pub(crate) rooms: BTreeMap<RoomId, u64>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) figures: Figures,
    is_admin: bool,
    token: String,
    dialect: Dialect,
    rng: Rng,
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
    /// Ids are never used again: an answer cannot be taken for another's.
    next_id: u64,
    asked: HashMap<u64, Asked>,
    known: VecDeque<(RoomId, String)>,
    /// Rooms that must be joined.
    outside: Vec<RoomId>,
    /// Commands that must be repeated.
    again: VecDeque<usize>,
    /// The last commands with a requestId that were acked.
    acked: VecDeque<usize>,
    is_refused: bool,
    is_idle: bool,
    recovery: Option<Recovery>,
    /// When the next new command may be sent.
    next: Instant,
    /// When the server said that it is going away, and how long to wait then.
    told: Option<(Instant, Duration)>,
}

impl Client {
    pub(crate) fn new(number: usize, rooms: &[RoomId], mut rng: Rng, shared: &Arc<Shared>) -> Client {
        let user = new_user();
        let is_admin = number.is_multiple_of(8);
        let role = if is_admin { "admin" } else { "user" };
        Client {
            user,
            rooms: rooms.iter().map(|room| (*room, 0)).collect(),
            sent: Vec::new(),
            figures: Figures::default(),
            is_admin,
            token: token(user, role, SystemEnv.now().plus(Duration::from_secs(86_400))),
            dialect: shared.manner.dialect(number),
            shared: Arc::clone(shared),
            phase: shared.phase.subscribe(),
            next_id: 0,
            asked: HashMap::new(),
            known: VecDeque::new(),
            outside: Vec::new(),
            again: VecDeque::new(),
            acked: VecDeque::new(),
            is_refused: false,
            is_idle: false,
            recovery: None,
            // Not all of them at once.
            next: Instant::now() + shared.manner.pause().mul_f64(part(&mut rng)),
            rng,
            told: None,
        }
    }

    /// Works until all is over.
    pub(crate) async fn live(mut self) -> Client {
        loop {
            let mut line = within("a connection", self.connect()).await;
            if self.work(&mut line).await.is_some() {
                return self;
            }
            // With a join that failed, or was not answered, which rooms are back is not known.
            let was_inside =
                self.outside.is_empty() && !self.asked.values().any(|asked| matches!(asked, Asked::Join(_)));
            self.recovery = line.recovery.take().filter(|_| was_inside);
            drop(line);
            self.lost();
            if let Some((at, retry_after)) = self.told.take() {
                self.shared.manner.departed(at);
                // tidy: sleep because this is what a client is asked to do, and half of them come sooner than the others
                tokio::time::sleep(retry_after.mul_f64(0.5 + part(&mut self.rng))).await;
            }
        }
    }

    async fn connect(&mut self) -> Line {
        loop {
            let (dialect, recovery) = (self.dialect, self.recovery.as_ref());
            if let Some(line) = Line::open(self.shared.address, dialect, &self.token, &self.rooms, recovery).await {
                self.figures.connections += 1;
                self.figures.recovered += u64::from(line.is_recovered);
                match dialect {
                    Dialect::SocketIo => {}
                    // Its rooms are back.
                    Dialect::Recovering if line.is_recovered => {}
                    Dialect::Recovering | Dialect::Plain => self.outside = self.rooms.keys().copied().collect(),
                }
                self.shared.manner.arrived(line.is_recovered);
                return line;
            }
            // tidy: sleep because nothing tells a client when somebody listens again
            tokio::time::sleep(self.shared.manner.again()).await;
        }
    }

    /// Forgets the connection, and finds what must be repeated on the next.
    fn lost(&mut self) {
        self.outside.clear();
        let unanswered = self.asked.drain().filter_map(|(id, asked)| match asked {
            Asked::Command(number, _) => Some((id, number)),
            Asked::Join(_) | Asked::Leave => None,
        });
        let mut unanswered: Vec<(u64, usize)> = unanswered.collect();
        unanswered.sort_unstable();
        let unanswered = unanswered.into_iter().map(|(_, number)| number);
        self.again.extend(unanswered.filter(|number| self.sent[*number].request_id.is_some()));
        self.again.extend(self.acked.drain(..));
    }

    /// Until the connection ends, which gives nothing, or all is over.
    async fn work(&mut self, line: &mut Line) -> Option<()> {
        loop {
            self.send(line).await?;
            match &*self.phase.borrow_and_update() {
                Phase::Work => {}
                Phase::Finish => {
                    let is_idle = self.asked.is_empty() && self.again.is_empty() && self.outside.is_empty();
                    if is_idle && !std::mem::replace(&mut self.is_idle, true) {
                        self.shared.idle.add_permits(1);
                    }
                }
                Phase::Read(ends) if self.rooms.iter().all(|(room, last)| ends.get(room).unwrap_or(&0) <= last) => {
                    break;
                }
                Phase::Read(_) => {}
            }
            let message = tokio::select! {
                message = within("a message", line.next()) => message?,
                changed = self.phase.changed() => {
                    changed.unwrap();
                    continue;
                }
                () = tokio::time::sleep_until(self.next.into()), if self.may_send() && self.next > Instant::now() => {
                    continue;
                }
            };
            if let Some(heard) = line.read(message).await? {
                self.heard(heard);
            }
            if self.is_refused && self.shared.manner.is_restless() && self.may_go() {
                return None;
            }
        }
        self.leave(line).await
    }

    /// A client whose commands are refused may try its luck on another connection; not while a vote is under way, since
    /// that and a later one of the other connection have no order.
    fn may_go(&mut self) -> bool {
        let is_vote =
            |asked: &Asked| matches!(asked, Asked::Command(number, _) if self.sent[*number].request_id.is_none());
        !self.asked.values().any(is_vote) && self.rng.below(40) == 0
    }

    /// Whether there is room for another command, and it is not in vain.
    fn may_send(&self) -> bool {
        let commands = self.asked.values().filter(|asked| matches!(asked, Asked::Command(..))).count();
        self.told.is_none() && commands < self.shared.manner.in_flight()
    }

    async fn send(&mut self, line: &mut Line) -> Option<()> {
        while let Some(room) = self.outside.last().copied() {
            self.pause().await;
            self.outside.pop();
            let data = json!({ "roomId": room, "since": self.rooms[&room] });
            self.say(line, Asked::Join(room), "join_room", &data).await?;
        }
        while self.may_send() {
            let is_working = matches!(*self.phase.borrow(), Phase::Work);
            let number = match self.again.pop_front() {
                Some(number) => number,
                None if is_working && self.next <= Instant::now() => {
                    self.next = Instant::now() + self.shared.manner.pause();
                    let rooms: Vec<RoomId> = self.rooms.keys().copied().collect();
                    let known = self.known.make_contiguous();
                    self.sent.push(Sent::random(&mut self.rng, &rooms, known, self.is_admin));
                    self.sent.len() - 1
                }
                None => break,
            };
            self.pause().await;
            let sent = &mut self.sent[number];
            sent.tries += 1;
            self.figures.repeats += u64::from(sent.tries > 1);
            let (event, data) = sent.event();
            self.say(line, Asked::Command(number, Instant::now()), event, &data).await?;
        }
        Some(())
    }

    async fn say(&mut self, line: &mut Line, asked: Asked, event: &str, data: &Value) -> Option<()> {
        let id = self.next_id;
        self.next_id += 1;
        self.asked.insert(id, asked);
        line.say(id, event, data).await
    }

    async fn pause(&mut self) {
        if std::mem::take(&mut self.is_refused) {
            // tidy: sleep because nothing tells a client when it will no longer be refused
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::Ack(id, answer) => match self.asked.remove(&id) {
                Some(Asked::Command(number, at)) => self.answered(number, at, answer),
                Some(Asked::Join(room)) => self.joined(room, &answer),
                Some(Asked::Leave) | None => panic!("an ack that nobody waits for: {answer}"),
            },
            Heard::Event(name, data) => match name.as_str() {
                "gossip_update" => self.update(data),
                "resumed" => {
                    let data: Value = serde_json::from_str(&data).unwrap();
                    for (room, standing) in data["rooms"].as_object().unwrap() {
                        assert_eq!(standing["recovered"], true, "{room}: {data}");
                    }
                }
                "server_draining" if self.shared.manner.expects_the_end() => {
                    let data: Value = serde_json::from_str(&data).unwrap();
                    let retry_after = Duration::from_millis(data["retryAfterMs"].as_u64().unwrap());
                    assert_eq!(self.told.replace((Instant::now(), retry_after)), None, "told twice");
                }
                // All that matters of it is its offset.
                "recovery" if self.dialect == Dialect::Recovering => {}
                "room_closed" => {
                    let data: Value = serde_json::from_str(&data).unwrap();
                    assert_eq!(data["code"], "unavailable", "{data}");
                    self.is_refused = true;
                    self.outside.push(serde_json::from_value(data["roomId"].clone()).unwrap());
                }
                _ => panic!("unexpected {name}: {data}"),
            },
        }
    }

    fn answered(&mut self, number: usize, sent_at: Instant, answer: Value) {
        let code = answer["code"].as_str().unwrap_or_default();
        let slowest = match code {
            "unresolved" => &mut self.figures.slowest_unresolved,
            "unavailable" => &mut self.figures.slowest_unavailable,
            _ => &mut self.figures.slowest_ack,
        };
        *slowest = sent_at.elapsed().max(*slowest);
        self.figures.unavailable += u64::from(code == "unavailable");
        self.figures.unresolved += u64::from(code == "unresolved");
        if answer["status"] == "error" {
            self.is_refused = true;
            self.shared.refusals.send_modify(|refusals| *refusals += 1);
        } else {
            self.figures.acks += 1;
            self.shared.acks.send_modify(|acks| *acks += 1);
        }
        let sent = &mut self.sent[number];
        if sent.answered(answer) {
            self.again.push_back(number);
        } else if sent.request_id.is_some() && matches!(sent.fate, Fate::Done(_)) {
            self.acked.push_back(number);
            if self.acked.len() > REPEATED {
                self.acked.pop_front();
            }
        }
    }

    fn joined(&mut self, room: RoomId, answer: &Value) {
        if answer["code"] == "unavailable" {
            self.is_refused = true;
            return self.outside.push(room);
        }
        assert_eq!((&answer["status"], &answer["recovered"]), (&json!("joined"), &json!(true)), "{answer}");
        assert!(answer["seq"].as_u64().unwrap() >= self.rooms[&room], "{answer}");
        self.shared.manner.joined();
    }

    /// Contract §4, Order: each event once, and none left out, over all connections.
    fn update(&mut self, data: String) {
        let event: Brief = serde_json::from_str(&data).unwrap();
        let last = self.rooms.get_mut(&event.room_id).unwrap();
        assert_eq!(event.seq, *last + 1, "not the next event of its room: {data}");
        *last = event.seq;
        self.figures.events += 1;
        if event.kind == "new_intent" {
            self.known.push_back((event.room_id, event.intent.id));
            if self.known.len() > KNOWN {
                self.known.pop_front();
            }
        }
        self.shared.heard.note(event.room_id, event.seq, data);
    }

    /// Shows that nothing more comes: the answers come after all that was sent to this connection before.
    async fn leave(&mut self, line: &mut Line) -> Option<()> {
        let rooms: Vec<RoomId> = self.rooms.keys().copied().collect();
        for room in rooms {
            self.say(line, Asked::Leave, "leave_room", &json!({ "roomId": room })).await?;
        }
        while !self.asked.is_empty() {
            match within("leaving", line.hear()).await? {
                Heard::Ack(id, answer) => {
                    assert_eq!(answer["status"], "left", "{answer}");
                    self.asked.remove(&id).unwrap();
                }
                Heard::Event(name, data) => panic!("after the last event: {name} {data}"),
            }
        }
        Some(())
    }
}
