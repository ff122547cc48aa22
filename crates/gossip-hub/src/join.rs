//! How a session comes into rooms: one by `join_room`, or many at once by a handshake with `resume` (contract §4, Join
//! and Resume). First the shard keeps what passes, then the snapshot is read, then what was missed; see
//! [`crate::shard`] and [`crate::catch_up`].

use std::sync::Arc;

use gossip_proto::id::{RoomId, Seq};
use gossip_proto::notice::{Resumed, ResumedRoom};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Reply;
use gossip_store::{JoinQuery, RecoveryChange, Seen};
use serde_json::json;

use crate::event::Event;
use crate::outbox::Asked;
use crate::session::{Credentials, Session};
use crate::shard::{Item, Order, Progress, Snapshot, Subscribed, too_many_rooms};
use crate::story;

impl Session {
    /// `join_room`. Answers itself, in order with the room's events, unless it is refused.
    pub(crate) async fn join(
        &self,
        me: &Credentials,
        room: RoomId,
        query: JoinQuery,
        asked: &Asked,
    ) -> Result<(), Refusal> {
        let epoch = self.link.gateway.access.epoch();
        self.check(me, room).await?;
        let id = self.link.id();
        // What can be recovered must be written down, which is done below.
        let needs_snapshot = query != JoinQuery::default() || self.link.peer.tracked.is_some();
        let subscribe = |done| Item::Subscribe { id, room, asked: Some(asked.clone()), needs_snapshot, done };
        let subscribed = self.link.ask(subscribe).await;
        let lost = self.confirm(me, epoch, &[room]).await.pop();
        let before = match subscribed {
            Some(Subscribed::Done) => return Ok(()),
            Some(Subscribed::Loading { before }) => match lost {
                None => before,
                Some((_, refusal)) => return Err(refusal),
            },
            Some(Subscribed::TooManyRooms) => return Err(too_many_rooms(self.link.gateway.config.shard_limits())),
            None => return Err(shutting_down()),
        };
        let snapshot = self.snapshot(room, query, before).await;
        let (after, last) = snapshot.as_ref().map_or((Seq(0), Seq(0)), |(snapshot, last)| (snapshot.after, *last));
        let snapshot = Box::new(snapshot.map(|(snapshot, _)| snapshot));
        let joined = |done| Item::Joined { id, room, asked: asked.clone(), snapshot, done };
        if self.link.ask(joined).await == Some(Progress::Behind)
            && let Err(refusal) = self.catch_up(Order::OneRoom, vec![(room, after)], &[(room, last)]).await
        {
            // It was promised everything: what came of that is told to be all.
            self.link.send(Item::CloseRoom { id, room, code: refusal.code }).await;
        }
        Ok(())
    }

    /// A handshake's `resume`: each room with the last event the client has. `resumed` tells what became of them, then
    /// come the missed events; rooms that are refused are told of by `room_closed`.
    pub(crate) async fn resume(&self, rooms: Vec<(RoomId, Seq)>) {
        let me = self.credentials();
        let epoch = self.link.gateway.access.epoch();
        let id = self.link.id();
        let mut allowed = Vec::with_capacity(rooms.len());
        let max_rooms = self.link.gateway.config.max_rooms;
        for (nth, (room, since)) in rooms.into_iter().enumerate() {
            if nth >= max_rooms {
                self.link.send(Item::CloseRoom { id, room, code: Code::Forbidden }).await;
                continue;
            }
            if self.link.peer.outbox.is_closed() {
                return;
            }
            match self.check(&me, room).await {
                Ok(()) => allowed.push((room, since)),
                Err(refusal) => self.link.send(Item::CloseRoom { id, room, code: refusal.code }).await,
            }
        }
        self.expect(&mut allowed).await;
        let entered: Vec<RoomId> = allowed.iter().map(|(room, _)| *room).collect();
        let lost = self.confirm(&me, epoch, &entered).await;
        allowed.retain(|(room, _)| lost.iter().all(|(lost, _)| lost != room));
        let seen: Vec<_> = allowed.iter().map(|(room, since)| (*room, Seen::Seq(*since))).collect();
        let mut told = Resumed::default();
        let mut after = Vec::with_capacity(seen.len());
        let mut last = Vec::with_capacity(seen.len());
        match self.read(self.link.gateway.store.standings(&seen)).await {
            Ok(standings) => {
                for ((room, _), standing) in seen.iter().zip(standings) {
                    after.push((*room, standing.after.unwrap_or(standing.seq)));
                    last.push((*room, standing.seq));
                    let recovered = standing.after.is_some();
                    told.rooms.insert(*room, ResumedRoom { recovered, seq: standing.seq });
                }
            }
            Err(refusal) => self.close_rooms(&allowed, refusal.code).await,
        }
        if let Err(refusal) = self.remember(&after).await {
            self.close_rooms(&after, refusal.code).await;
            (told, after) = Default::default();
        }
        story::resumed(id, told.rooms.len());
        let event = Arc::new(Event::new(Resumed::NAME, json!(told).to_string()));
        self.link.send(Item::Tell { id, event }).await;
        if let Err(refusal) = self.catch_up(Order::AllRooms, after.clone(), &last).await {
            self.close_rooms(&after, refusal.code).await;
        }
    }

    /// Has the shard keep what passes in these rooms, but for those that are too many, which are closed.
    pub(crate) async fn expect(&self, allowed: &mut Vec<(RoomId, Seq)>) {
        let id = self.link.id();
        let rooms = allowed.iter().map(|(room, _)| *room).collect();
        let refused = self.link.ask(|done| Item::Expect { id, rooms, done }).await.unwrap_or_default();
        allowed.retain(|(room, _)| !refused.contains(room));
        for room in refused {
            self.link.send(Item::CloseRoom { id, room, code: Code::Forbidden }).await;
        }
    }

    async fn close_rooms(&self, rooms: &[(RoomId, Seq)], code: Code) {
        for (room, _) in rooms {
            self.link.send(Item::CloseRoom { id: self.link.id(), room: *room, code }).await;
        }
    }

    /// Writes down that a connection that can be recovered is in these rooms, after the seq beside each.
    pub(crate) async fn remember(&self, rooms: &[(RoomId, Seq)]) -> Result<(), Refusal> {
        let Some(tracked) = &self.link.peer.tracked else { return Ok(()) };
        let pid = tracked.pid;
        // Its beginning may not have been noted: nothing waited for that.
        let open = RecoveryChange::Open { pid, user: self.identity().user };
        let joins = rooms.iter().map(|&(room, seq)| RecoveryChange::Join { pid, room, seq });
        self.keep(std::iter::once(open).chain(joins).collect()).await
    }

    /// With the room's last event; `before` is what the client has, where it is live in the room.
    async fn snapshot(&self, room: RoomId, query: JoinQuery, before: Option<Seq>) -> Result<(Snapshot, Seq), Refusal> {
        let snapshot = self.read(self.link.gateway.store.room(room, query)).await?;
        let seq = snapshot.seq;
        let recovered = snapshot.is_reached;
        let reply = Reply::Joined { room_id: room, seq, recovered, intents: snapshot.intents };
        let since = query.since.filter(|_| recovered == Some(true));
        let (after, is_replayed) = (since.unwrap_or(seq), since.is_some());
        if let Some(before) = before.filter(|before| !is_replayed && *before < seq) {
            // To a member that only looks again, what the snapshot has comes before the ack.
            self.catch_up_until(room, before, seq).await?;
        }
        // A member's place is noted already, unless it says that it has more from elsewhere.
        if before.is_none_or(|before| is_replayed && before < after)
            && let Err(refusal) = self.remember(&[(room, after)]).await
        {
            if let Some(tracked) = self.link.peer.tracked.as_ref().filter(|_| before.is_none()) {
                // It may have been written all the same.
                self.link.gateway.recoveries.note(RecoveryChange::Leave { pid: tracked.pid, room });
            }
            return Err(refusal);
        }
        Ok((Snapshot { after, reply, is_replayed }, seq))
    }
}

/// A shard that is gone has nobody left to answer.
pub(crate) fn shutting_down() -> Refusal {
    Refusal::new(Code::Unavailable, "the server is shutting down")
}
