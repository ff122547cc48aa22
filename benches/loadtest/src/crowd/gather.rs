//! Getting everybody in: connections, a bounded number of them at a time, and the rooms they join.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;

use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Crowd, Member, Tally, Timing, Venue, joined_at};
use crate::error::Error;
use crate::limits;
use crate::meter::Meter;
use crate::room::{Cursor, Room};
use crate::socket::Socket;
use crate::target::Target;

/// Connections that are being made at any time.
pub(super) const AT_ONCE: usize = 64;

/// Who is to be where. Everybody is a user of their own, in one room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rooms: usize,
    /// In each room.
    pub(crate) members: usize,
    /// Of them, the last ones of each room, stop reading once they have joined.
    pub(crate) not_reading: usize,
}

impl Plan {
    fn reads(&self, index: usize) -> bool {
        index % self.members < self.members - self.not_reading
    }
}

impl Crowd {
    /// Connects everybody, and has them join new rooms.
    ///
    /// # Errors
    /// Where one is refused.
    pub(crate) async fn gather(target: &Target, plan: Plan, meter: &Meter) -> Result<Crowd, Error> {
        let count = plan.rooms * plan.members;
        limits::raise_files(count)?;
        let address = target.socket_address;
        let ids: Vec<Rc<str>> = (0..plan.rooms).map(|_| Uuid::new_v4().to_string().into()).collect();
        let counter = meter.counter("joins");
        let joined = all_at_once(count, AT_ONCE, |index| {
            let (token, id, counter) = (target.token(), Rc::clone(&ids[index / plan.members]), counter.clone());
            async move {
                let source = limits::source(address, index, count);
                let socket = if plan.reads(index) {
                    Socket::connect(address, &token?, source).await?
                } else {
                    Socket::connect_narrow(address, &token?, source).await?
                };
                let answer = socket.call("join_room", format_args!(r#"{{"roomId":"{id}"}}"#)).await?;
                counter.add(1);
                Ok((socket, joined_at(&answer).map_err(Error::Setup)?))
            }
        })
        .await?;
        let members = joined.into_iter().enumerate().map(|(index, (socket, seq))| Member {
            socket: Rc::new(socket),
            room: index / plan.members,
            reads: plan.reads(index),
            cursor: RefCell::new(Cursor::after(seq)),
            waiting: RefCell::new(HashMap::new()),
            dirty: Cell::new(false),
            gone: Cell::new(false),
        });
        let reading = plan.members - plan.not_reading;
        let venues = ids.iter().map(|id| Venue {
            room: RefCell::new(Room::new(id.to_string(), reading, 0)),
            timing: RefCell::new(Timing::after(0)),
        });
        Ok(Crowd {
            members: members.collect(),
            venues: venues.collect(),
            tally: RefCell::new(Tally::new()),
            dirty: RefCell::default(),
            quiet: tokio::sync::Notify::new(),
            deliveries: meter.counter("deliveries"),
            events: meter.counter("events"),
            acks: meter.counter("acks"),
            meter: meter.clone(),
        })
    }
}

/// Runs `count` futures, `at_once` at a time; what they end with, in their order.
///
/// # Errors
/// The first that fails.
pub(crate) async fn all_at_once<T: 'static, F>(
    count: usize,
    at_once: usize,
    make: impl Fn(usize) -> F,
) -> Result<Vec<T>, Error>
where
    F: Future<Output = Result<T, Error>> + 'static,
{
    let mut tasks = JoinSet::new();
    let mut found: Vec<Option<T>> = (0..count).map(|_| None).collect();
    let mut next = 0;
    loop {
        while next < count && tasks.len() < at_once {
            let (index, future) = (next, make(next));
            tasks.spawn_local(async move { future.await.map(|found| (index, found)) });
            next += 1;
        }
        let Some(ended) = tasks.join_next().await else { return Ok(found.into_iter().flatten().collect()) };
        let (index, one) = ended??;
        found[index] = Some(one);
    }
}
