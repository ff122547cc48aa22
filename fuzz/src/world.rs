//! Carries a script out on a gateway over SQLite, and asks at the end whether all of it fits together. The gateway lives
//! on from run to run, since starting it takes longer than a run: each has rooms, users and intents of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac::HMAC_SHA256;
use gossip_core::env::Env;
use gossip_hub::{Gateway, GatewayConfig, Key, Verifier, VerifierConfig};
use gossip_proto::id::{IntentId, RoomId, Seq, UserId};
use gossip_proto::model::{Intent, Vote};
use gossip_proto::request::Token;
use gossip_proto::timestamp::Timestamp;
use gossip_store::queue::Config as QueueConfig;
use gossip_store::sqlite::SqliteStore;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::check::{Common, View};
use crate::client::{Recorder, Seen};
use crate::script::{Event, Script, Step, Who, Words};
use crate::socket::{Begin, PATIENCE, Socket, raw};
use crate::token::signed;

const SECRET: &str = "a secret of at least thirty-two bytes";
/// A run has so many rooms, and no more open sockets.
const ROOMS: u64 = 3;
const SOCKETS: usize = 6;
/// A gateway is replaced after so many runs: its database grows.
const RUNS: u64 = 2_000;
/// The clock of one run goes on by less than the log is kept.
const MOST_MINUTES: i64 = 20 * 60;
const MINUTE: i64 = 60_000;

/// A clock that stands, but when a script says otherwise, and ids in order.
#[derive(Debug)]
struct Clock {
    millis: AtomicI64,
    ids: AtomicU64,
}

impl Env for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }

    fn new_id(&self) -> Uuid {
        Uuid::from_u128(0x018f_2a3e_0000_7000_8000_0000_0000_0000 | u128::from(self.ids.fetch_add(1, Ordering::SeqCst)))
    }
}

/// The gateway, and what it stands on.
struct World {
    gateway: Gateway,
    clock: Arc<Clock>,
    runs: u64,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = SqliteStore::open_path(&folder.path().join("fuzz.db"), PATIENCE).await.expect("a database");
        let clock = Arc::new(Clock { millis: AtomicI64::new(1_800_000_000_000), ids: AtomicU64::new(0) });
        let queue = QueueConfig { delay: Duration::ZERO, timeout: PATIENCE, ..QueueConfig::default() };
        let config = GatewayConfig { queue, shards: 2, ..GatewayConfig::default() };
        let verifier = Verifier::new(Key::secret(SECRET), VerifierConfig::default());
        let env = Arc::clone(&clock) as Arc<dyn Env>;
        let gateway = Gateway::start(config, Arc::new(store), verifier, env).await.expect("a gateway");
        World { gateway, clock, runs: 0, _folder: folder }
    }
}

/// Never dropped: at the end of the process there is no runtime any more for what is under way.
static WORLD: Mutex<Option<(Runtime, World)>> = Mutex::new(None);

/// Carries out a script, and panics where something is not as it must be.
pub fn run(script: Script) {
    let mut kept = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.as_ref().is_some_and(|(_, world)| world.runs >= RUNS) {
        *kept = None;
    }
    let (runtime, world) = kept.get_or_insert_with(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let world = runtime.block_on(World::new());
        (runtime, world)
    });
    world.runs += 1;
    runtime.block_on(async {
        let mut run = Run::new(world);
        run.begin().await;
        for step in script.0 {
            run.step(step).await;
        }
        run.end().await;
    });
}

struct Run<'a> {
    world: &'a World,
    number: u64,
    began: i64,
    common: Common,
    sockets: Vec<Socket>,
    /// Tracked clients that were dropped.
    gone: Vec<Socket>,
}

impl<'a> Run<'a> {
    fn new(world: &'a World) -> Run<'a> {
        let began = world.clock.millis.load(Ordering::SeqCst);
        let number = world.runs;
        let mut run = Run { world, number, began, common: Common::default(), sockets: Vec::new(), gone: Vec::new() };
        for who in [Who::Ann, Who::Bob, Who::Eve, Who::Tim] {
            run.common.rights.insert(run.user(who), run.rooms_of(who));
        }
        run
    }

    fn id(&self, kind: u64, nth: u64) -> Uuid {
        Uuid::from_u64_pair(0x018f_2a3e_0000_7000 | kind << 32, 0x8000_0000_0000_0000 | self.number << 8 | nth)
    }

    fn room(&self, nth: u8) -> RoomId {
        RoomId(self.id(1, u64::from(nth) % ROOMS))
    }

    fn user(&self, who: Who) -> UserId {
        UserId(self.id(2, who as u64))
    }

    fn rooms_of(&self, who: Who) -> Option<Vec<RoomId>> {
        match who {
            Who::Ann => Some(vec![self.room(0), self.room(1)]),
            Who::Bob | Who::Tim => Some(vec![self.room(0)]),
            Who::Eve | Who::Nobody => None,
        }
    }

    fn token(&self, who: Who) -> Token {
        let secret = if who == Who::Nobody { "another secret of thirty-two bytes" } else { SECRET };
        let now = self.world.clock.millis.load(Ordering::SeqCst) / 1000;
        let claims = json!({
            "sub": self.user(who),
            "exp": now + if who == Who::Tim { 60 } else { 1_000_000 },
            "role": if who == Who::Eve { "admin" } else { "user" },
            "rooms": self.rooms_of(who),
        });
        Token(signed(secret, r#"{"alg":"HS256"}"#, &claims.to_string(), HMAC_SHA256))
    }

    /// An intent that was heard of, or one that is not there.
    fn intent(&self, nth: u8) -> IntentId {
        let known = &self.common.intents;
        known.get(usize::from(nth) % (known.len() + 1)).copied().unwrap_or(IntentId(self.id(3, 0)))
    }

    /// Some are there already, and have something to talk about.
    async fn begin(&mut self) {
        for (who, is_tracked) in [(Who::Ann, true), (Who::Bob, false), (Who::Eve, false)] {
            assert!(self.open(Some(who), None, is_tracked), "there is room");
        }
        for socket in 0..3 {
            self.ask(socket, Event::Join { room: 0, since: None, history: None });
        }
        let content = Words("x".into());
        self.ask(0, Event::Post { room: 0, content, metadata: None, minutes: None, request: None });
        self.settle_all().await;
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Open { who, resume, is_tracked } => {
                if self.sockets.len() < SOCKETS {
                    let resume = resume.map(|(room, since)| (self.room(room), u64::from(since)));
                    self.open(who, resume, is_tracked);
                }
            }
            Step::Drop { socket, says_goodbye } => self.drop_socket(socket, says_goodbye).await,
            Step::Return { socket } => self.come_back(socket).await,
            Step::Ask { socket, event } => self.ask(socket, event),
            Step::Slow { socket, is_behind } => {
                if let Some(socket) = pick(&mut self.sockets, socket) {
                    socket.seen.set_behind(is_behind);
                }
            }
            Step::Broadcast { room } => {
                let room = self.room(room);
                let data = json!({ "roomId": room });
                let told = self.world.gateway.broadcast_to_room(room, "system_message", &data).await;
                told.expect("a name that is not reserved");
            }
            Step::Later { minutes } => {
                let now = self.world.clock.millis.load(Ordering::SeqCst) + i64::from(minutes) * MINUTE;
                if now < self.began + MOST_MINUTES * MINUTE {
                    self.world.clock.millis.store(now, Ordering::SeqCst);
                }
            }
            Step::Settle => self.settle_all().await,
        }
        // What is under way gets on, as between two packets.
        tokio::task::yield_now().await;
    }

    /// A socket of somebody whose token was good, if there is one.
    fn open(&mut self, who: Option<Who>, resume: Option<(RoomId, u64)>, is_tracked: bool) -> bool {
        let gateway = &self.world.gateway;
        let seen = Arc::new(Seen::default());
        let mut view = View::default();
        let outbox = Box::new(Recorder(Arc::clone(&seen)));
        let Some(who) = who else {
            let connection = gateway.connect(outbox, None);
            self.sockets.push(Socket::start(seen, view, connection, Begin::Nothing, None));
            return true;
        };
        let Ok(identity) = gateway.verify(&self.token(who), None, None) else {
            assert_eq!(who, Who::Nobody, "a good token is taken");
            return false;
        };
        assert_ne!(who, Who::Nobody, "a bad token is not");
        view.user = Some(identity.user);
        let pid = is_tracked.then(|| gateway.new_pid());
        let Ok(seated) = gateway.seat(identity, pid, None) else { return false };
        let connection = match pid {
            // The offset that the layer above tells before anything else.
            Some(pid) => {
                view.offset = Some("0".into());
                gateway.connect_tracked(outbox, None, seated, pid, None)
            }
            None => {
                let connection = gateway.connect(outbox, None);
                connection.authenticate(seated);
                connection
            }
        };
        view.resume = resume.into_iter().collect();
        let begin = resume.map_or(Begin::Nothing, |(room, since)| Begin::Resume(vec![(room, Seq(since))]));
        self.sockets.push(Socket::start(seen, view, connection, begin, pid.map(|pid| (pid, who))));
        true
    }

    async fn drop_socket(&mut self, nth: u8, says_goodbye: bool) {
        if self.sockets.is_empty() {
            return;
        }
        let mut socket = self.sockets.swap_remove(usize::from(nth) % self.sockets.len());
        // One that cannot be recovered goes in the middle of whatever it does.
        if socket.tracked.is_some() && socket.rest(&mut self.common).await {
            socket.end(says_goodbye, &mut self.common);
            self.gone.push(socket);
        }
    }

    /// One of those that were dropped, or else one whose line is dead, which the server has not noticed.
    async fn come_back(&mut self, nth: u8) {
        let mut old = if self.gone.is_empty() {
            let Some(at) = self.sockets.iter().position(|socket| socket.tracked.is_some()) else { return };
            let mut socket = self.sockets.swap_remove(at);
            if !socket.rest(&mut self.common).await {
                return;
            }
            socket.lose(&mut self.common);
            socket
        } else {
            self.gone.swap_remove(usize::from(nth) % self.gone.len())
        };
        let Some((pid, who)) = old.tracked.take() else { return };
        let gateway = &self.world.gateway;
        let identity = gateway.verify(&self.token(who), None, None).expect("a good token");
        let found = gateway.recoverable(&identity, pid, old.view.offset.as_deref()).await.expect("the store is well");
        let Some(again) = found else { return };
        let Ok(seated) = gateway.seat(identity, Some(pid), None) else { return };
        let seen = Arc::new(Seen::default());
        let outbox = Box::new(Recorder(Arc::clone(&seen)));
        let connection = gateway.connect_tracked(outbox, None, seated, pid, Some(&again));
        let view = old.view.again();
        self.sockets.push(Socket::start(seen, view, connection, Begin::Recover(again), Some((pid, who))));
    }

    fn ask(&mut self, nth: u8, event: Event) {
        let (name, data, ack) = self.words(event);
        if let Some(socket) = pick(&mut self.sockets, nth) {
            socket.ask(name, data, ack);
        }
    }

    /// An event's name and data, and whether it has an ack.
    fn words(&self, event: Event) -> (String, Option<Box<RawValue>>, bool) {
        let (name, mut data) = match event {
            Event::Authenticate { who, claims_to_be } => {
                let claimed = claims_to_be.map(|who| self.user(who));
                ("authenticate", json!({ "token": self.token(who).0, "userId": claimed }))
            }
            Event::Join { room, since, history } => {
                ("join_room", json!({ "roomId": self.room(room), "since": since, "history": history }))
            }
            Event::Leave { room } => ("leave_room", json!({ "roomId": self.room(room) })),
            Event::Post { room, content, metadata, minutes, request } => (
                "new_gossip",
                json!({
                    "roomId": self.room(room), "content": content.0, "expiresInMinutes": minutes,
                    "metadata": metadata.map(|words| json!({ "a": words.0 })), "requestId": request_id(request),
                }),
            ),
            Event::Vote { intent, action } => {
                ("vote_gossip", json!({ "intentId": self.intent(intent), "action": action.word() }))
            }
            Event::Comment { intent, content, request } => (
                "comment_gossip",
                json!({ "intentId": self.intent(intent), "content": content.0, "requestId": request_id(request) }),
            ),
            Event::Update { intent, status, reason, request } => (
                "update_gossip",
                json!({
                    "intentId": self.intent(intent), "status": status.word(), "reason": reason.map(|words| words.0),
                    "requestId": request_id(request),
                }),
            ),
            Event::ListGossip { room, limit, before, status } => (
                "list_gossip",
                json!({
                    "roomId": self.room(room), "limit": limit, "before": self.before(before),
                    "status": status.map(|status| status.word()),
                }),
            ),
            Event::Get { intent } => ("get_gossip", json!({ "intentId": self.intent(intent) })),
            Event::ListUpdates { intent, limit, before } => (
                "list_updates",
                json!({ "intentId": self.intent(intent), "limit": limit, "before": self.before(before) }),
            ),
            Event::Raw { name, data, ack } => {
                const NAMES: [&str; 5] = ["vote_gossip", "new_gossip", "authenticate", "connect", ""];
                let name = NAMES[usize::from(name) % NAMES.len()];
                return (name.to_owned(), serde_json::from_str(&data.0).ok(), ack);
            }
        };
        if let Value::Object(members) = &mut data {
            members.retain(|_, value| !value.is_null());
        }
        (name.to_owned(), serde_json::value::to_raw_value(&data).ok(), true)
    }

    fn before(&self, nth: Option<u8>) -> Option<String> {
        let known = &self.common.cursors;
        nth.map(|nth| known.get(usize::from(nth) % (known.len() + 1)).cloned().unwrap_or_else(|| "1-x".into()))
    }

    async fn settle_all(&mut self) {
        for socket in &mut self.sockets {
            socket.seen.set_behind(false);
        }
        for socket in &mut self.sockets {
            socket.settle(&mut self.common).await;
        }
    }

    /// Everything is answered; then the log, the counts and what every client saw must be the same story.
    async fn end(mut self) {
        self.settle_all().await;
        let answered = self.common.answered.clone();
        for socket in &mut self.sockets {
            socket.catch_up(&answered, &mut self.common).await;
        }
        self.sockets.clear();
        self.replay(&answered).await;
        self.count().await;
    }

    /// Who comes late gets the same events from the log, all of them.
    async fn replay(&mut self, answered: &HashMap<RoomId, u64>) {
        assert!(self.open(Some(Who::Eve), None, false), "an admin has a place");
        // What clients asked that are gone is decided before this is.
        let vote = json!({ "intentId": self.id(3, 0), "action": "remove" });
        self.sockets[0].ask("vote_gossip".into(), raw(&vote), true);
        self.settle_all().await;
        for room in answered.keys() {
            let mut late = self.sockets.pop().expect("it was opened");
            late.ask("join_room".into(), raw(&json!({ "roomId": room, "since": 0 })), true);
            late.settle(&mut self.common).await;
            assert!(late.view.rooms.contains_key(room), "an admin may join any room");
            late.catch_up(answered, &mut self.common).await;
            self.sockets.push(late);
        }
        self.sockets.clear();
    }

    /// Counts are the votes that users find to be theirs, and what the last event told.
    async fn count(&mut self) {
        let intents = self.common.intents.clone();
        let mut votes = vec![(0, 0); intents.len()];
        let mut found: Vec<Option<Intent>> = vec![None; intents.len()];
        for who in [Who::Ann, Who::Bob, Who::Tim, Who::Eve] {
            if !self.open(Some(who), None, false) {
                return;
            }
            let mut socket = self.sockets.pop().expect("it was opened");
            for (nth, intent) in intents.iter().enumerate() {
                let Some((seen, vote)) = socket.get(*intent, &mut self.common).await else { continue };
                match vote {
                    Some(Vote::Up) => votes[nth].0 += 1,
                    Some(Vote::Down) => votes[nth].1 += 1,
                    None => {}
                }
                found[nth] = Some(seen);
            }
        }
        for (intent, votes) in found.iter().zip(votes) {
            let intent = intent.as_ref().expect("an admin sees every intent");
            assert_eq!((intent.upvotes, intent.downvotes), votes, "counts are votes: {intent:?}");
            let last = (1..).map_while(|seq| self.common.event(intent.room_id, seq));
            let told = last.filter_map(|data| serde_json::from_str::<Value>(data).ok());
            let told = told.filter(|data| data["intent"]["id"] == json!(intent.id)).last().expect("it was posted");
            assert_eq!(told["intent"]["upvotes"], intent.upvotes);
            assert_eq!(told["intent"]["downvotes"], intent.downvotes);
        }
    }
}

fn request_id(nth: Option<u8>) -> Option<String> {
    nth.map(|nth| format!("request-{}", nth % 4))
}

fn pick(sockets: &mut [Socket], nth: u8) -> Option<&mut Socket> {
    let count = sockets.len().max(1);
    sockets.get_mut(usize::from(nth) % count)
}
