//! The scenario `votes`: durable votes a second, and how long their acks take, of gossipd, of a baseline with one
//! transaction per vote, or of both in turn. A fixed number of votes is always under way.

mod report;
mod setup;
mod voter;
mod walk;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use crate::cli::VotesArgs;
use crate::client::Connection;
use crate::database::Place;
use crate::error::Error;
use crate::meter::Meter;
use crate::report::{Report, histogram, started_now};
use crate::server::Kind;
use crate::target::{self, Target};
use report::Found;
use voter::{Board, Schedule, Voter};

/// How long the last votes may take to be answered.
const LAST_ANSWERS: Duration = Duration::from_secs(30);
/// How often the meter is told how far it is: more often than it takes a sample.
const TICK: Duration = Duration::from_millis(50);

/// Runs the scenario.
///
/// # Errors
/// Where there is nothing to report. What is wrong with a report is in its verdict.
pub(crate) async fn run(args: &VotesArgs) -> Result<Report, Error> {
    let windows = args.windows()?;
    let started_at = started_now();
    let mut runs = Vec::new();
    if let (Some(url), Some(secret)) = (&args.url, &args.token_secret) {
        let (found, meter) = load(&target::remote(url, secret).await?, args, &windows).await?;
        runs.push(found.run(&meter));
    } else {
        let place = Place::of(args.database_url.as_deref())?;
        let kinds: &[Kind] = match (args.compare, args.baseline) {
            (true, _) => &[Kind::Baseline, Kind::Gossipd],
            (false, true) => &[Kind::Baseline],
            (false, false) => &[Kind::Gossipd],
        };
        let rounds = if args.compare { args.rounds } else { 1 };
        for kind in kinds.repeat(rounds) {
            let on = target::on(kind, &place, args.tuning, async |target| load(target, args, &windows).await);
            let ((mut found, meter), stored) = on.await?;
            found.stored = stored;
            runs.push(found.run(&meter));
        }
    }
    Ok(Report::new("votes", started_at, runs))
}

/// Votes, and measures.
async fn load(target: &Target, args: &VotesArgs, windows: &[usize]) -> Result<(Found, Meter), Error> {
    let mut poster = Connection::open(&target.address, &target.token()?).await?;
    let intents = setup::post(&mut poster, args.intents).await?;
    drop(poster);
    let mut voters = Vec::with_capacity(windows.len());
    for (seed, &window) in windows.iter().enumerate() {
        let connection = Connection::open(&target.address, &target.token()?).await?;
        voters.push(Voter::new(connection, Arc::clone(&intents), window, seed as u64));
    }

    let measure_from = Instant::now() + args.warmup;
    let schedule = Schedule { measure_from, until: measure_from + args.duration };
    let board = Arc::new(Mutex::new(Board::new()));
    let mut tasks = JoinSet::new();
    for voter in voters {
        tasks.spawn(voter.run(schedule, Arc::clone(&board)));
    }
    let answers = async {
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    };
    let meter = Meter::new(target.kind.name(), target.process);
    let watch = async {
        watch(schedule, &meter, &board).await;
        Ok::<_, Error>(())
    };
    let all = meter.during(async { tokio::try_join!(answers, watch) });
    timeout(args.warmup + args.duration + LAST_ANSWERS, all)
        .await
        .map_err(|_| Error::Stalled(LAST_ANSWERS.as_secs()))??;

    let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
    let found = Found {
        server: target.kind,
        database: target.database,
        in_flight: args.in_flight,
        connections: windows.len(),
        intents: args.intents,
        acked: board.acked,
        errors: board.refused,
        first_error: board.first_refusal.take(),
        stored: None,
        latency: std::mem::replace(&mut board.latency, histogram()),
    };
    Ok((found, meter))
}

/// Marks what is measured, and shows how it goes.
async fn watch(schedule: Schedule, meter: &Meter, board: &Mutex<Board>) {
    let votes = meter.counter("votes");
    let until = async |end: Instant| {
        while Instant::now() < end {
            sleep_until((Instant::now() + TICK).min(end).into()).await;
            let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
            votes.add(board.acked - votes.get());
            meter.errors_are(board.refused);
            meter.took_all(&mut board.latest);
        }
    };
    meter.phase("warming up", Some(schedule.measure_from.saturating_duration_since(Instant::now())));
    until(schedule.measure_from).await;
    meter.begin();
    meter.phase("measuring", Some(schedule.until.saturating_duration_since(Instant::now())));
    until(schedule.until).await;
    meter.end();
    meter.phase("last answers", None);
}
