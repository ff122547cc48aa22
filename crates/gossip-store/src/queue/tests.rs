//! The queue against a store that does as it is told: what is told to whom, in which order, and how late.

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use gossip_core::access::Reach;
use gossip_core::command::{Action, Actor};
use gossip_proto::id::{IntentId, Pid, RoomId, Seq, UserId};
use gossip_proto::model::{Intent, Status, Update, Vote};
use gossip_proto::timestamp::Timestamp;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::*;
use crate::{
    AccessCursor, AccessPage, Committed, Cursor, JoinQuery, Member, Paged, Position, Recovery, RecoveryChange,
    Revocation, RoomSnapshot, Seen, Standing, StoreFuture,
};

const TIMEOUT: Duration = Duration::from_secs(2);

/// What a commit comes to.
enum Ends {
    /// With events at these positions.
    At(Vec<u64>),
    Failed,
    Unresolved,
}

struct Scripted {
    script: Mutex<VecDeque<Ends>>,
    /// Commits that may end.
    may_end: Semaphore,
    /// How many commands each commit had.
    batches: Mutex<Vec<usize>>,
    /// Positions in the log.
    log: Mutex<Vec<u64>>,
    is_log_down: AtomicBool,
    does_log_hang: AtomicBool,
    /// Commits and pings fail after half of the time.
    is_down: AtomicBool,
}

impl Scripted {
    fn new(script: impl IntoIterator<Item = Ends>) -> Arc<Scripted> {
        Arc::new(Scripted {
            script: Mutex::new(script.into_iter().collect()),
            may_end: Semaphore::new(0),
            batches: Mutex::default(),
            log: Mutex::default(),
            is_log_down: AtomicBool::new(false),
            does_log_hang: AtomicBool::new(false),
            is_down: AtomicBool::new(false),
        })
    }

    fn down<T>() -> Result<T, Error> {
        Err(Error::Database { doing: "as it was told", source: sqlx::Error::PoolClosed })
    }
}

fn event(position: u64) -> LogEvent {
    LogEvent { position: Position(position), room: RoomId(Uuid::nil()), seq: Seq(position), payload: "{}".into() }
}

impl Store for Scripted {
    fn commit<'a>(&'a self, batch: &'a [Command], _: &'a dyn Env) -> StoreFuture<'a, Committed> {
        self.batches.lock().unwrap().push(batch.len());
        Box::pin(async move {
            if self.is_down.load(SeqCst) {
                tokio::time::sleep(TIMEOUT / 2).await;
                return Self::down();
            }
            self.may_end.acquire().await.unwrap().forget();
            let ends = self.script.lock().unwrap().pop_front().unwrap_or(Ends::At(Vec::new()));
            match ends {
                Ends::At(positions) => Ok(Committed {
                    results: batch.iter().map(|_| Err(Refusal::intent_not_found())).collect(),
                    events: positions.into_iter().map(event).collect(),
                }),
                Ends::Failed => Self::down(),
                Ends::Unresolved => Err(Error::Unresolved(sqlx::Error::PoolClosed)),
            }
        })
    }

    fn position(&self) -> StoreFuture<'_, Position> {
        Box::pin(async {
            if self.does_log_hang.load(SeqCst) {
                std::future::pending::<()>().await;
            }
            if self.is_log_down.load(SeqCst) {
                return Self::down();
            }
            Ok(Position(self.log.lock().unwrap().last().copied().unwrap_or(0)))
        })
    }

    fn log(&self, after: Position, _: u64) -> StoreFuture<'_, Vec<LogEvent>> {
        Box::pin(async move {
            if self.is_log_down.load(SeqCst) {
                return Self::down();
            }
            Ok(self.log.lock().unwrap().iter().filter(|at| **at > after.0).map(|at| event(*at)).collect())
        })
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        Box::pin(async {
            if self.is_down.load(SeqCst) {
                tokio::time::sleep(TIMEOUT / 2).await;
                return Self::down();
            }
            Ok(())
        })
    }

    fn room(&self, _: RoomId, _: JoinQuery) -> StoreFuture<'_, RoomSnapshot> {
        unreachable!()
    }

    fn standings<'a>(&'a self, _: &'a [(RoomId, Seen)]) -> StoreFuture<'a, Vec<Standing>> {
        unreachable!()
    }

    fn replay<'a>(&'a self, _: &'a [(RoomId, Seq)], _: u64) -> StoreFuture<'a, Vec<LogEvent>> {
        unreachable!()
    }

    fn recovery(&self, _: Pid) -> StoreFuture<'_, Option<Recovery>> {
        unreachable!()
    }

    fn keep<'a>(&'a self, _: &'a [RecoveryChange], _: Timestamp) -> StoreFuture<'a, ()> {
        unreachable!()
    }

    fn touch<'a>(&'a self, _: &'a [Pid], _: Timestamp) -> StoreFuture<'a, ()> {
        unreachable!()
    }

    fn intent(&self, _: IntentId, _: UserId) -> StoreFuture<'_, Option<(Intent, Option<Vote>)>> {
        unreachable!()
    }

    fn intents(&self, _: RoomId, _: Option<Status>, _: u64, _: Option<Cursor>) -> StoreFuture<'_, Paged<Intent>> {
        unreachable!()
    }

    fn updates(&self, _: IntentId, _: bool, _: u64, _: Option<Cursor>) -> StoreFuture<'_, Paged<Update>> {
        unreachable!()
    }

    fn is_member(&self, _: RoomId, _: UserId) -> StoreFuture<'_, bool> {
        unreachable!()
    }

    fn memberships<'a>(&'a self, _: &'a [(RoomId, UserId)]) -> StoreFuture<'a, HashSet<(RoomId, UserId)>> {
        unreachable!()
    }

    fn members(&self, _: RoomId, _: Option<UserId>, _: u64) -> StoreFuture<'_, Vec<Member>> {
        unreachable!()
    }

    fn add_member(&self, _: RoomId, _: UserId, _: Timestamp) -> StoreFuture<'_, ()> {
        unreachable!()
    }

    fn remove_member(&self, _: RoomId, _: UserId) -> StoreFuture<'_, ()> {
        unreachable!()
    }

    fn access_cursor(&self) -> StoreFuture<'_, AccessCursor> {
        unreachable!()
    }

    fn access_changes(&self, _: AccessCursor, _: u64) -> StoreFuture<'_, AccessPage> {
        unreachable!()
    }

    fn revoke(&self, _: UserId, _: Option<Timestamp>, _: Timestamp) -> StoreFuture<'_, ()> {
        unreachable!()
    }

    fn revocations(&self, _: Option<UserId>, _: u64) -> StoreFuture<'_, Vec<Revocation>> {
        unreachable!()
    }

    fn revocations_of<'a>(&'a self, _: &'a [UserId]) -> StoreFuture<'a, Vec<Revocation>> {
        unreachable!()
    }

    fn prune_access_changes(&self, _: u64) -> StoreFuture<'_, u64> {
        unreachable!()
    }

    fn due(&self, _: Timestamp, _: u64) -> StoreFuture<'_, Vec<IntentId>> {
        unreachable!()
    }

    fn prune(&self, _: Timestamp, _: u64) -> StoreFuture<'_, u64> {
        unreachable!()
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        unreachable!()
    }
}

struct NoTime;

impl Env for NoTime {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn new_id(&self) -> Uuid {
        Uuid::nil()
    }
}

/// What the sink was told, one line for each thing.
struct Told(mpsc::UnboundedSender<String>);

impl Sink<u32> for Told {
    async fn committed(&mut self, batch: Batch<u32>) {
        for event in batch.events {
            let _ = self.0.send(format!("event {}", event.position.0));
        }
        for (ticket, result) in batch.results {
            let code = result.map_or_else(|refusal| format!("{:?}", refusal.code), |_| "done".into());
            let _ = self.0.send(format!("{ticket} {code}"));
        }
    }
}

struct Bench {
    store: Arc<Scripted>,
    queue: CommitQueue<u32>,
    told: mpsc::UnboundedReceiver<String>,
}

impl Bench {
    async fn new(config: Config, script: impl IntoIterator<Item = Ends>) -> Bench {
        let store = Scripted::new(script);
        let (sender, told) = mpsc::unbounded_channel();
        let as_store: Arc<dyn Store> = Arc::<Scripted>::clone(&store);
        let (queue, _) = CommitQueue::start(as_store, Arc::new(NoTime), config, Told(sender)).await.unwrap();
        Bench { store, queue, told }
    }

    async fn submit(&self, ticket: u32) {
        self.queue.submit(command(1), ticket).await.unwrap();
    }

    async fn told(&mut self, lines: &[&str]) {
        for line in lines {
            assert_eq!(self.told.recv().await.as_deref(), Some(*line));
        }
    }

    fn end(&self, commits: usize) {
        self.store.may_end.add_permits(commits);
    }
}

fn command(user: u128) -> Command {
    let actor = Actor { user: UserId(Uuid::from_u128(user)), reach: Reach::All };
    Command { actor, action: Action::Expire { intent: IntentId(Uuid::nil()) }, request_id: None }
}

fn config() -> Config {
    Config { timeout: TIMEOUT, delay: Duration::ZERO, ..Config::default() }
}

#[tokio::test(start_paused = true)]
async fn under_load_a_batch_waits_for_more_and_alone_for_nothing() {
    let delay = Duration::from_millis(5);
    let mut bench = Bench::new(Config { delay, ..config() }, []).await;
    bench.end(10);
    let began = Instant::now();
    bench.submit(0).await;
    bench.told(&["0 NotFound"]).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    // The next come soon after: one transaction, not sooner than the delay after the last began.
    for ticket in 1..=3 {
        bench.submit(ticket).await;
        tokio::task::yield_now().await;
    }
    bench.told(&["1 NotFound", "2 NotFound", "3 NotFound"]).await;
    assert_eq!(*bench.store.batches.lock().unwrap(), [1, 3]);
    assert!(began.elapsed() <= delay, "{:?}", began.elapsed());
    // After a rest nothing waits.
    tokio::time::advance(2 * delay).await;
    let rested = Instant::now();
    bench.submit(4).await;
    bench.told(&["4 NotFound"]).await;
    assert_eq!(rested.elapsed(), Duration::ZERO);
    // Nobody else comes: a look is all that is waited for, and the next does not wait at all.
    bench.submit(5).await;
    bench.told(&["5 NotFound"]).await;
    let looked = rested.elapsed();
    assert!(looked > Duration::ZERO && looked < delay, "{looked:?}");
    bench.submit(6).await;
    bench.told(&["6 NotFound"]).await;
    assert_eq!(rested.elapsed(), looked);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_full_waits_for_nothing() {
    let mut bench = Bench::new(Config { delay: Duration::from_millis(5), max_batch: 2, ..config() }, []).await;
    bench.end(10);
    let began = Instant::now();
    for ticket in 0..8 {
        bench.submit(ticket).await;
    }
    for ticket in 0..8 {
        bench.told(&[&format!("{ticket} NotFound")]).await;
    }
    assert_eq!(*bench.store.batches.lock().unwrap(), [2, 2, 2, 2]);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_queues_during_a_commit_goes_into_the_next() {
    let mut bench = Bench::new(config(), []).await;
    bench.submit(0).await;
    while bench.store.batches.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    for ticket in 1..=5 {
        bench.submit(ticket).await;
    }
    bench.end(2);
    bench.told(&["0 NotFound", "1 NotFound", "2 NotFound", "3 NotFound", "4 NotFound", "5 NotFound"]).await;
    assert_eq!(*bench.store.batches.lock().unwrap(), [1, 5]);
}

#[tokio::test(start_paused = true)]
async fn what_others_committed_is_told_of_in_its_place() {
    let mut bench = Bench::new(config(), [Ends::At(vec![1]), Ends::At(vec![4, 5])]).await;
    *bench.store.log.lock().unwrap() = vec![1, 2, 3, 4, 5];
    bench.end(2);
    bench.submit(0).await;
    bench.told(&["event 1", "0 NotFound"]).await;
    bench.submit(1).await;
    bench.told(&["1 NotFound", "event 2", "event 3", "event 4", "event 5"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_in_doubt_is_told_of_when_the_log_has_it() {
    let mut bench = Bench::new(config(), [Ends::Unresolved, Ends::At(vec![3])]).await;
    bench.store.is_log_down.store(true, SeqCst);
    bench.end(2);
    bench.submit(0).await;
    bench.told(&["0 Unresolved"]).await;
    *bench.store.log.lock().unwrap() = vec![1, 2];
    bench.store.is_log_down.store(false, SeqCst);
    bench.told(&["event 1", "event 2"]).await;
    bench.submit(1).await;
    bench.told(&["event 3", "1 NotFound"]).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_the_log() {
    let mut bench = Bench::new(config(), [Ends::Unresolved, Ends::Failed, Ends::At(vec![])]).await;
    bench.store.does_log_hang.store(true, SeqCst);
    bench.end(3);
    let began = Instant::now();
    for (ticket, told) in ["0 Unresolved", "1 Unavailable", "2 NotFound"].iter().enumerate() {
        bench.submit(u32::try_from(ticket).unwrap()).await;
        bench.told(&[told]).await;
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn no_event_is_told_of_before_one_that_could_not_be_read() {
    let mut bench = Bench::new(config(), [Ends::At(vec![2]), Ends::At(vec![3])]).await;
    bench.store.is_log_down.store(true, SeqCst);
    bench.end(2);
    bench.submit(0).await;
    bench.submit(1).await;
    bench.told(&["0 NotFound", "1 NotFound"]).await;
    *bench.store.log.lock().unwrap() = vec![1, 2, 3];
    bench.store.is_log_down.store(false, SeqCst);
    bench.told(&["event 1", "event 2", "event 3"]).await;
}

#[tokio::test(start_paused = true)]
async fn while_the_store_works_a_full_queue_slows_and_refuses_nothing() {
    let small = Config { capacity: 2, max_batch: 1, ..config() };
    let mut bench = Bench::new(small, []).await;
    // One is under way, two wait.
    for ticket in 0..3 {
        bench.submit(ticket).await;
        while bench.store.batches.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }
    let queue = bench.queue.clone();
    let mut fourth = tokio::spawn(async move { queue.submit(command(1), 3).await });
    assert!(tokio::time::timeout(TIMEOUT / 4, &mut fourth).await.is_err(), "there is no room");
    bench.end(1);
    assert_eq!(fourth.await.unwrap(), Ok(()));
    for ticket in 0..4 {
        bench.told(&[&format!("{ticket} NotFound")]).await;
        // Slow, and longer in all than one that waits for a failing store would be given.
        tokio::time::sleep(TIMEOUT / 2).await;
        bench.end(1);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_behind_a_commit_that_hangs_is_told_in_time() {
    let mut bench = Bench::new(Config { max_batch: 1, ..config() }, [Ends::Failed]).await;
    bench.submit(0).await;
    tokio::time::sleep(TIMEOUT / 2).await;
    let began = Instant::now();
    bench.submit(1).await;
    bench.told(&["1 Unavailable"]).await;
    assert!(began.elapsed() <= TIMEOUT + TIMEOUT / 8, "{:?}", began.elapsed());
    bench.end(1);
    bench.told(&["0 Unavailable"]).await;
    // And the store is tried again, for who comes then.
    bench.submit(2).await;
    bench.end(1);
    bench.told(&["2 NotFound"]).await;
}

#[tokio::test(start_paused = true)]
async fn however_many_wait_for_a_store_that_is_down_all_are_told_in_time() {
    let mut bench = Bench::new(Config { max_batch: 10, capacity: 1000, ..config() }, []).await;
    bench.store.is_down.store(true, SeqCst);
    for _ in 0..3 {
        let began = Instant::now();
        for ticket in 0..500 {
            bench.submit(ticket).await;
        }
        for _ in 0..500 {
            assert!(bench.told.recv().await.unwrap().ends_with("Unavailable"));
        }
        assert!(began.elapsed() <= TIMEOUT, "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_users_commands_stay_in_order_over_many_lanes() {
    let lanes = Config { lanes: 4, max_batch: 3, ..config() };
    let mut bench = Bench::new(lanes, []).await;
    bench.end(1000);
    for n in 0..100 {
        for user in 0..5 {
            bench.queue.submit(command(user), n * 5 + u32::try_from(user).unwrap()).await.unwrap();
        }
    }
    let mut last = [None; 5];
    for _ in 0..500 {
        let line = bench.told.recv().await.unwrap();
        let ticket: u32 = line.split(' ').next().unwrap().parse().unwrap();
        let last = &mut last[ticket as usize % 5];
        assert!(last.is_none_or(|last| last < ticket));
        *last = Some(ticket);
    }
}
