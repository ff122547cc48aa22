//! Whatever dies, nothing is lost and nothing doubled: gossipd is killed (SIGKILL) at random moments while clients work,
//! and Postgres is crashed under it. Clients come back by themselves; in the end all that they sent and heard is compared
//! with the database (contract §4: Order, Resume, Retries, Votes). `KILL_ROUNDS` asks for more rounds than the few that
//! are good for every day, `GOSSIPD_TEST_SEED` for the same ones again.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "figures and seeds, for who looks into a run")]

#[expect(dead_code, reason = "each test uses its own part of it")]
mod fault;
#[expect(dead_code, reason = "each test uses its own part of it")]
mod support;

use std::time::{Duration, Instant};

use fault::crowd::Crowd;
use fault::database::Database;
use fault::process::Process;
use support::rng::{self, Rng};

const CLIENTS: usize = 50;
/// Commands that are acked between one death and the next, at most.
const ACKS_MAX: usize = 1_000;
/// How long after one of those acks death may come, in microseconds.
const DELAY_MAX: usize = 30_000;

fn rounds(default: usize) -> usize {
    std::env::var("KILL_ROUNDS").map_or(default, |rounds| rounds.parse().unwrap())
}

/// Lets a random number of commands be carried out, and a random moment pass.
async fn random_moment(crowd: &mut Crowd, rng: &mut Rng) {
    // Sometimes so few that most clients are still on their way back.
    let most = if rng.below(4) == 0 { CLIENTS / 2 } else { ACKS_MAX };
    crowd.acks(rng.below(most)).await;
    // tidy: sleep because the moment must not depend on what the server does
    tokio::time::sleep(Duration::from_micros(rng.below(DELAY_MAX) as u64)).await;
}

async fn kill_gossipd(database: Database, name: &str) {
    let (seed, rounds, begun) = (rng::seed(), rounds(3), Instant::now());
    println!("{name}: GOSSIPD_TEST_SEED={seed}");
    let mut rng = Rng::new(seed);
    let mut process = Process::start(&database, &[]);
    let mut crowd = Crowd::new(&process, CLIENTS, true, &mut rng);
    for _ in 0..rounds {
        random_moment(&mut crowd, &mut rng).await;
        tokio::task::block_in_place(|| {
            process.kill();
            process.start_again();
        });
    }
    random_moment(&mut crowd, &mut rng).await;
    crowd.finish(&database, &format!("{name}, seed {seed}, {rounds} kills in {:?}", begun.elapsed())).await;
    process.assert_no_panic();
    drop(process);
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn gossipd_is_killed_on_sqlite() {
    kill_gossipd(Database::sqlite(), "gossipd on SQLite").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn gossipd_is_killed_on_postgres() {
    kill_gossipd(Database::postgres().await, "gossipd on Postgres").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_is_crashed_under_gossipd() {
    let (seed, rounds, begun) = (rng::seed(), rounds(2), Instant::now());
    println!("Postgres: GOSSIPD_TEST_SEED={seed}");
    let mut rng = Rng::new(seed);
    let database = Database::own_postgres();
    let process = Process::start(&database, &[]);
    let mut crowd = Crowd::new(&process, CLIENTS, true, &mut rng);
    for round in 0..rounds {
        random_moment(&mut crowd, &mut rng).await;
        database.server(|server| server.stop_immediately());
        // Every other time it is away for longer than a moment.
        if round.is_multiple_of(2) {
            crowd.refusals(1 + rng.below(CLIENTS * 4)).await;
        }
        database.server(|server| server.start_again());
    }
    random_moment(&mut crowd, &mut rng).await;
    crowd.finish(&database, &format!("Postgres, seed {seed}, {rounds} crashes in {:?}", begun.elapsed())).await;
    process.assert_no_panic();
}
