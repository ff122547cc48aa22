//! Socket.IO's connection state recovery (contract §4): a client that asked for it comes back with its `pid` and the
//! last offset it got, and finds its rooms and what it missed, whatever process it meets. The same `pid` is given again
//! only when the log has all of that; what fails after that ends the connection, and the client tries again.

use gossip_core::access::Identity;
use gossip_proto::id::{Pid, RoomId, Seq};
use gossip_proto::refusal::{Code, Refusal};
use gossip_store::{RecoveryChange, Seen};

use crate::connection::Connection;
use crate::gateway::Gateway;
use crate::offset::Offset;
use crate::outbox::Close;
use crate::session::Session;
use crate::shard::{Item, Order, room_closed};

/// A connection that can be gone on with.
#[derive(Debug)]
pub struct Recoverable {
    /// Its name, which the client is to be given again.
    pub pid: Pid,
    /// What the client has seen.
    pub(crate) offset: Offset,
    /// Its rooms, each with the last event the client has.
    pub(crate) rooms: Vec<(RoomId, Seq)>,
    /// The rooms' last events.
    pub(crate) last: Vec<(RoomId, Seq)>,
}

impl Gateway {
    /// A name for a connection that can be recovered from now on.
    #[must_use]
    pub fn new_pid(&self) -> Pid {
        Pid(self.inner.env.new_id())
    }

    /// What is known of a connection that `identity` had, given the last offset that its client got. `None` where it is
    /// not known, was another user's, or missed more than the log still has: it then begins anew.
    ///
    /// # Errors
    /// `unavailable` where the store does not answer: the client should try again.
    pub async fn recoverable(
        &self,
        identity: &Identity,
        pid: Pid,
        offset: Option<&str>,
    ) -> Result<Option<Recoverable>, Refusal> {
        let store = &self.inner.store;
        // What its last connection did must be written before it is read.
        self.inner.recoveries.settled().await?;
        let found = self.inner.read(store.recovery(pid)).await?;
        let Some(kept) = found.filter(|kept| kept.user == identity.user) else { return Ok(None) };
        // Without an offset nothing has reached the client.
        let Ok(mut offset) = offset.map_or(Ok(Offset::default()), str::parse) else { return Ok(None) };
        offset.behind.retain(|(room, _)| kept.rooms.iter().any(|(known, _)| known == room));
        let seen = |&(room, joined): &(RoomId, Seq)| {
            let seen = match offset.behind.iter().find(|(behind, _)| *behind == room) {
                Some((_, seq)) => Seen::Seq(seq.unwrap_or(joined)),
                None => Seen::Position { joined, position: offset.position },
            };
            (room, seen)
        };
        let seen: Vec<_> = kept.rooms.iter().map(seen).collect();
        let standings = self.inner.read(store.standings(&seen)).await?;
        let last = kept.rooms.iter().zip(&standings).map(|((room, _), standing)| (*room, standing.seq)).collect();
        let rooms = kept.rooms.iter().zip(standings).map(|((room, _), standing)| Some((*room, standing.after?)));
        let Some(rooms) = rooms.collect() else { return Ok(None) };
        Ok(Some(Recoverable { pid, offset, rooms, last }))
    }
}

impl Connection {
    /// Goes on where a connection ended: its rooms are back, as far as there still is access, and what was missed is
    /// sent. Without an authentication before it, nothing happens.
    pub async fn recover(&self, recoverable: Recoverable) {
        if let Some(session) = self.session()
            && let Err(refusal) = session.recover(recoverable).await
        {
            tracing::info!(code = ?refusal.code, "a connection could not be recovered and is closed to be tried again");
            session.link.peer.outbox.close(Close::NotRecovered);
        }
    }

    /// Its client is done with it: it is not to be recovered.
    pub fn forget(&self) {
        if let Some(session) = self.session()
            && let Some(tracked) = &session.link.peer.tracked
        {
            session.link.gateway.recoveries.forget(tracked.pid, session.link.id());
        }
    }
}

impl Session {
    async fn recover(&self, recoverable: Recoverable) -> Result<(), Refusal> {
        let Recoverable { pid, offset, rooms, last } = recoverable;
        let me = self.credentials();
        let epoch = self.link.gateway.access.epoch();
        let mut allowed = Vec::with_capacity(rooms.len());
        for (room, after) in rooms {
            match self.check(&me, room).await {
                Ok(()) => allowed.push((room, after)),
                Err(refusal) if refusal.code == Code::Unavailable => return Err(refusal),
                Err(refusal) => {
                    self.link.gateway.recoveries.note(RecoveryChange::Leave { pid, room });
                    let event = room_closed(room, refusal.code);
                    self.link.send(Item::Tell { id: self.link.id(), event }).await;
                }
            }
        }
        self.expect(&mut allowed).await;
        let entered: Vec<RoomId> = allowed.iter().map(|(room, _)| *room).collect();
        for (lost, refusal) in self.confirm(&me, epoch, &entered).await {
            if refusal.code == Code::Unavailable {
                return Err(refusal);
            }
            allowed.retain(|(room, _)| *room != lost);
        }
        // What an offset says of a room, later ones do not: it is written down.
        let named: Vec<_> =
            allowed.iter().filter(|(room, _)| offset.behind.iter().any(|(b, _)| b == room)).copied().collect();
        if !named.is_empty() {
            self.remember(&named).await?;
        }
        // Rooms that were being caught up with when the connection ended come first, up to where the others are: then
        // one position says again what was seen of all.
        for after in &mut allowed {
            if named.iter().any(|(room, _)| *room == after.0) {
                self.catch_up_to(after, offset.position).await?;
            }
        }
        self.catch_up(Order::AllRooms, allowed, &last).await
    }
}
