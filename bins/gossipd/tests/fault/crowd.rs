//! Many clients at work in a few rooms, and their end: when all know what became of what they sent, everything is
//! compared with the database.

use std::sync::Arc;

use gossip_proto::id::RoomId;
use tokio::task::JoinSet;

use super::client::{Client, Figures, Phase, Shared};
use super::database::Database;
use super::manner::Manner;
use super::process::Process;
use super::truth::Truth;
use crate::support::rng::Rng;
use crate::support::server::new_room;
use crate::support::within;

const ROOMS: usize = 5;
pub(crate) const ROOMS_EACH: usize = 2;

pub(crate) struct Crowd {
    pub(crate) rooms: Vec<RoomId>,
    pub(crate) shared: Arc<Shared>,
    tasks: JoinSet<Client>,
    clients: usize,
}

impl Crowd {
    /// So many clients begin to work. Those who are `restless` try another connection now and then when they are refused.
    pub(crate) fn new(process: &Process, clients: usize, restless: bool, rng: &mut Rng) -> Crowd {
        Crowd::with(process, clients, ROOMS, Manner::Working { restless }, rng)
    }

    /// So many clients in so many rooms.
    pub(crate) fn with(process: &Process, clients: usize, rooms: usize, manner: Manner, rng: &mut Rng) -> Crowd {
        let shared = Shared::new(process.address(), manner);
        let rooms: Vec<RoomId> = (0..rooms).map(|_| new_room()).collect();
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            let own: [RoomId; ROOMS_EACH] = std::array::from_fn(|n| rooms[(number + n) % rooms.len()]);
            tasks.spawn(Client::new(number, &own, rng.fork(), &shared).live());
        }
        Crowd { rooms, shared, tasks, clients }
    }

    /// Waits until so many more commands are carried out.
    pub(crate) async fn acks(&mut self, more: usize) {
        let mut acks = self.shared.acks.subscribe();
        let enough = *acks.borrow() + more as u64;
        self.until("acks", async { acks.wait_for(|acks| *acks >= enough).await.map(drop).unwrap() }).await;
    }

    /// Waits until so many more commands are refused.
    pub(crate) async fn refusals(&mut self, more: usize) {
        let mut refusals = self.shared.refusals.subscribe();
        let enough = *refusals.borrow() + more as u64;
        let enough = async { refusals.wait_for(|refusals| *refusals >= enough).await.map(drop).unwrap() };
        self.until("refusals", enough).await;
    }

    /// Waits for `future`; a client that ends meanwhile has failed.
    pub(crate) async fn until<T>(&mut self, what: &str, future: impl Future<Output = T>) -> T {
        tokio::select! {
            done = within(what, future) => done,
            ended = self.tasks.join_next() => {
                drop(ended.unwrap().unwrap());
                panic!("a client has ended before its time");
            }
        }
    }

    /// Lets all finish and compares what they know with the database. Gives their figures, each added up.
    pub(crate) async fn finish(mut self, database: &Database, report: &str) -> Figures {
        let shared = Arc::clone(&self.shared);
        shared.phase.send_replace(Phase::Finish);
        self.until("the last answers", shared.idle.acquire_many(self.clients as u32)).await.unwrap().forget();
        let ends = Truth::read(database).await.ends;
        shared.phase.send_replace(Phase::Read(ends));
        let mut clients = Vec::new();
        while let Some(client) = within("the last events", self.tasks.join_next()).await {
            clients.push(client.unwrap());
        }
        let compared = Truth::read(database).await.compare(&clients, &shared.heard);
        assert_eq!(compared.heard, compared.logged, "somebody is in every room");
        let figures = clients.iter().map(|client| client.figures).fold(Figures::default(), Figures::add);
        println!("{report}: {figures:?}, {compared:?}");
        figures
    }
}
