//! Runs of several events: who gets one in one piece, who event by event, and who when.

use gossip_core::env::Env;

use super::*;

/// A time at which nobody's is over.
struct Still;

impl Env for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn new_id(&self) -> Uuid {
        Uuid::nil()
    }
}

impl Bench {
    fn live(&mut self, id: u64, seq: u64) -> Recorder {
        let client = self.open(id);
        self.subscribe(id, ROOM, true);
        self.joined(id, ROOM, seq, &[]);
        client.take();
        client
    }

    fn answer(&self, id: u64) -> Answer {
        let peer = Arc::clone(&self.shard.connections[&ConnectionId(id)].peer);
        Answer { peer, asked: asked(), reply: Err(Refusal::unavailable()), commit: None }
    }

    /// Who has something that was not flushed.
    fn dirty(&self) -> Vec<u64> {
        self.shard.dirty.iter().map(|peer| peer.id.0).collect()
    }
}

fn run_of(seqs: std::ops::Range<u64>) -> RoomRun {
    let run = Run::new(seqs.clone().map(event).collect::<Vec<_>>());
    RoomRun { room: ROOM, first: Seq(seqs.start), run: Arc::new(run) }
}

#[test]
fn who_has_a_part_of_a_run_gets_the_rest() {
    let mut bench = Bench::new(10);
    let (nothing, part, all) = (bench.live(1, 3), bench.live(2, 5), bench.live(3, 6));
    bench.commit(ROOM, [4, 5, 6]);
    bench.commit(ROOM, [7, 8]);
    assert_eq!(nothing.take(), ["e 4", "e 5", "e 6", "e 7", "e 8"]);
    assert_eq!(part.take(), ["e 6", "e 7", "e 8"]);
    assert_eq!(all.take(), ["e 7", "e 8"]);
    assert_eq!(bench.shard.delivered, 10);
}

#[test]
fn the_last_run_is_sent_to_each_at_once_but_for_who_gets_more_with_it() {
    let mut bench = Bench::new(10);
    let (first, asking, partly) = (bench.live(1, 3), bench.live(2, 3), bench.live(3, 4));
    let (coming, told) = (bench.open(4), bench.live(5, 3));
    bench.subscribe(4, ROOM, true);
    bench.shard.dirty.drain(..).for_each(|peer| peer.flush());
    for client in [&first, &asking, &partly, &coming, &told] {
        client.take();
    }
    bench.shard.handle(Item::Tell { id: ConnectionId(5), event: Arc::new(Event::new("custom", "0")) });

    let run = run_of(4..6);
    let answers = vec![bench.answer(2)];
    bench.shard.begin_sending(&run, &answers);
    assert!(bench.shard.send_some(&run, 0, 2));
    assert!(bench.shard.send_some(&run, 2, 2));
    assert!(!bench.shard.send_some(&run, 4, 2));
    bench.shard.end_sending(&run, answers);
    bench.emit(Audience::Room(ROOM));

    assert_eq!(first.take(), ["e 4", "e 5", "flush", "custom 0"]);
    assert_eq!(asking.take(), ["e 4", "e 5", "refused Unavailable", "custom 0"]);
    assert_eq!(partly.take(), ["e 5", "custom 0"]);
    assert_eq!(told.take(), ["custom 0", "e 4", "e 5", "custom 0"]);
    assert_eq!(coming.take(), [""; 0]);
    assert_eq!(bench.dirty(), [5, 2, 3, 1]);
    // What was kept is in its place among what came before and after.
    bench.joined(4, ROOM, 4, &[]);
    assert_eq!(coming.take(), ["joined at 4", "e 5", "custom 0"]);
    assert_eq!(bench.subscribe(1, ROOM, false), Subscribed::Done);
    assert_eq!(first.take(), ["joined at 5"]);
}

#[test]
fn a_run_of_a_room_where_nobody_is_only_brings_the_answers() {
    let mut bench = Bench::new(10);
    let asking = bench.open(1);
    let run = run_of(4..6);
    let answers = vec![bench.answer(1)];
    bench.shard.begin_sending(&run, &answers);
    assert!(!bench.shard.send_some(&run, 0, 2));
    bench.shard.end_sending(&run, answers);
    assert_eq!(asking.take(), ["refused Unavailable"]);
    assert_eq!(bench.dirty(), [1]);
}

#[tokio::test]
async fn the_task_sends_a_run_to_more_than_it_flushes_at_once_and_takes_who_leaves_meanwhile_after_it() {
    let mut bench = Bench::new(10);
    let clients: Vec<_> = (1..=300).map(|id| bench.live(id, 3)).collect();
    bench.shard.dirty.drain(..).for_each(|peer| peer.flush());
    clients.iter().for_each(|client| drop(client.take()));
    let inbox = Arc::new(crate::inbox::Inbox::default());
    let answers = vec![bench.answer(300)];
    inbox.push(Item::Committed { runs: [run_of(4..6)].into(), answers });
    let (done, sent) = oneshot::channel();
    // The task stops to let others go on after each part; what comes then waits for the rest.
    let meanwhile = async {
        while clients[0].0.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(clients[299].0.lock().unwrap().is_empty());
        inbox.push(Item::Closed(ConnectionId(1)));
        inbox.push(Item::Committed { runs: [run_of(6..8)].into(), answers: Vec::new() });
        inbox.push(Item::CloseSome { count: 0, close: Close::Draining, done });
        sent.await.unwrap();
    };
    tokio::select! {
        () = run(bench.shard, Arc::clone(&inbox), Arc::new(Still), |_| unreachable!("nobody lags")) => {}
        () = meanwhile => {}
    }
    let lines: Vec<_> = clients.iter().map(Recorder::take).collect();
    assert_eq!(lines[0], ["e 4", "e 5", "flush"]);
    assert!(lines[1..299].iter().all(|lines| lines[..5] == ["e 4", "e 5", "flush", "e 6", "e 7"]));
    assert_eq!(lines[299][..6], ["e 4", "e 5", "refused Unavailable", "flush", "e 6", "e 7"]);
}
