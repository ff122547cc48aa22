//! How a session comes into rooms: one by `join_room`, or many at once by a handshake with `resume` (contract §4, Join
//! and Resume). In two halves: first the shard keeps what passes, then the snapshot is read; see [`crate::shard`].

use std::sync::Arc;

use gossip_proto::id::{RoomId, Seq};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Reply;
use gossip_store::{JoinQuery, MAX_REPLAY_BYTES, Missed};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use crate::event::Event;
use crate::outbox::Asked;
use crate::session::{Credentials, Session};
use crate::shard::{Item, Snapshot, Subscribed, room_closed, too_many_rooms};

impl Session {
    /// `join_room`. Answers itself, in order with the room's events, unless it is refused.
    pub(crate) async fn join(
        &self,
        me: &Credentials,
        room: RoomId,
        query: JoinQuery,
        asked: &Asked,
    ) -> Result<(), Refusal> {
        self.check(me, room).await?;
        if self.subscribe(room, Some(asked.clone()), query != JoinQuery::default()).await? == Subscribed::Loading {
            let snapshot = self.snapshot(room, query).await;
            self.link.send(Item::Joined { id: self.link.id(), room, asked: Some(asked.clone()), snapshot }).await;
        }
        Ok(())
    }

    /// A handshake's `resume`: each room with the last event the client has. `resumed` tells what became of them, then
    /// come the missed events; rooms that are refused are told of by `room_closed`.
    pub(crate) async fn resume(&self, rooms: Vec<(RoomId, Seq)>) {
        let me = self.credentials();
        let id = self.link.id();
        let mut told = Map::new();
        let mut resumed = Vec::new();
        // All rooms together may bring what one may: those past it are told to start anew.
        let mut budget = MAX_REPLAY_BYTES;
        for (room, since) in rooms {
            if self.link.peer.outbox.is_closed() {
                return;
            }
            match self.resume_one(&me, room, since, budget).await {
                Ok(Some(snapshot)) => {
                    budget -= snapshot.replay.iter().map(|event| event.data().len()).sum::<usize>().min(budget);
                    let recovered = matches!(snapshot.reply, Reply::Joined { recovered: Some(true), .. });
                    told.insert(room.to_string(), json!({ "seq": snapshot.seq, "recovered": recovered }));
                    resumed.push((room, snapshot));
                }
                // The shard tells of it.
                Ok(None) => {}
                Err(refusal) => {
                    self.link.send(Item::Tell { id, event: room_closed(room, refusal.code) }).await;
                }
            }
        }
        let event = Arc::new(Event::new("resumed", json!({ "rooms": Value::Object(told) }).to_string()));
        self.link.send(Item::Tell { id, event }).await;
        for (room, snapshot) in resumed {
            self.link.send(Item::Joined { id, room, asked: None, snapshot: Ok(snapshot) }).await;
        }
    }

    /// `None` where the shard had begun to keep events and is told that no snapshot comes.
    async fn resume_one(
        &self,
        me: &Credentials,
        room: RoomId,
        since: Seq,
        budget: usize,
    ) -> Result<Option<Snapshot>, Refusal> {
        self.check(me, room).await?;
        self.subscribe(room, None, true).await?;
        match self.snapshot(room, JoinQuery { since: Some(since), history: None, budget: Some(budget) }).await {
            Ok(snapshot) => Ok(Some(snapshot)),
            Err(refusal) => {
                let snapshot = Err(refusal);
                self.link.send(Item::Joined { id: self.link.id(), room, asked: None, snapshot }).await;
                Ok(None)
            }
        }
    }

    async fn subscribe(&self, room: RoomId, asked: Option<Asked>, needs_snapshot: bool) -> Result<Subscribed, Refusal> {
        let (done, subscribed) = oneshot::channel();
        let id = self.link.id();
        self.link.send(Item::Subscribe { id, room, asked, needs_snapshot, done }).await;
        let subscribed = tokio::select! {
            () = self.link.gateway.failure.happened() => None,
            subscribed = subscribed => subscribed.ok(),
        };
        match subscribed {
            Some(Subscribed::TooManyRooms) => Err(too_many_rooms(self.link.gateway.config.shard_limits())),
            Some(other) => Ok(other),
            // A shard that is gone has nobody left to answer.
            None => Err(Refusal::new(Code::Unavailable, "the server is shutting down")),
        }
    }

    async fn snapshot(&self, room: RoomId, query: JoinQuery) -> Result<Snapshot, Refusal> {
        let snapshot = self.read(self.link.gateway.store.room(room, query)).await?;
        let (recovered, missed) = match snapshot.missed {
            None => (None, Vec::new()),
            Some(Missed::Unrecoverable) => (Some(false), Vec::new()),
            Some(Missed::All(events)) => (Some(true), events),
        };
        let seq = snapshot.seq;
        let reply = Reply::Joined { room_id: room, seq, recovered, intents: snapshot.intents };
        Ok(Snapshot { seq, reply, replay: missed.iter().map(crate::gateway::event_of).collect() })
    }
}
