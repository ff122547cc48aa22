//! The scenario `votes`: durable votes a second, and how long their acks take, of gossipd, of a baseline with one
//! transaction per vote, or of both in turn. A fixed number of votes is always under way.

mod setup;
mod voter;
mod walk;

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};
use uuid::Uuid;

use crate::cli::VotesArgs;
use crate::client::Connection;
use crate::database::{Database, Place};
use crate::error::Error;
use crate::process::{self, Usage};
use crate::report::{Comparison, Latency, Report, Run};
use crate::server::{Kind, Server};
pub(crate) use voter::histogram;
use voter::{Board, Schedule, Voter};

/// How long the last votes may take to be answered.
const LAST_ANSWERS: Duration = Duration::from_secs(30);
/// How often the rate is shown.
const TICK: Duration = Duration::from_millis(250);

/// Where the load goes.
struct Target<'a> {
    kind: Kind,
    database: Option<&'static str>,
    address: &'a str,
    secret: &'a str,
    process: Option<u32>,
}

/// Runs the scenario.
///
/// # Errors
/// Where there is nothing to report. What is wrong with a report is [`Report::faults`].
pub(crate) async fn run(args: &VotesArgs) -> Result<Report, Error> {
    let windows = args.windows()?;
    let mut runs = Vec::new();
    if let (Some(url), Some(secret)) = (&args.url, &args.token_secret) {
        let address = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
        let target = Target { kind: Kind::Remote, database: None, address, secret, process: None };
        runs.push(load(&target, args, &windows).await?);
    } else {
        let place = Place::of(args.database_url.as_deref())?;
        let kinds: &[Kind] = match (args.compare, args.baseline) {
            (true, _) => &[Kind::Baseline, Kind::Gossipd],
            (false, true) => &[Kind::Baseline],
            (false, false) => &[Kind::Gossipd],
        };
        let rounds = if args.compare { args.rounds } else { 1 };
        for kind in kinds.repeat(rounds) {
            runs.push(local(kind, &place, args, &windows).await?);
        }
    }
    let report = Report { comparison: Comparison::of(&runs), runs };
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&report)?;
        fs::write(path, json + "\n").map_err(Error::io("writing the report"))?;
    }
    Ok(report)
}

/// One run on a server and a database of its own, which are gone afterwards whatever happens.
async fn local(kind: Kind, place: &Place, args: &VotesArgs, windows: &[usize]) -> Result<Run, Error> {
    let database = place.create().await?;
    let outcome = tokio::select! {
        outcome = serve_and_load(kind, place, &database, args, windows) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Error::Interrupted),
    };
    let removed = database.remove().await;
    let run = outcome?;
    removed.map(|()| run)
}

async fn serve_and_load(
    kind: Kind,
    place: &Place,
    database: &Database,
    args: &VotesArgs,
    windows: &[usize],
) -> Result<Run, Error> {
    let secret = Uuid::new_v4().to_string();
    let server = Server::start(kind, database.url(), &secret, args.tuning).await?;
    let target = Target {
        kind,
        database: Some(place.name()),
        address: server.address(),
        secret: &secret,
        process: server.process(),
    };
    let mut run = load(&target, args, windows).await?;
    server.kill().await?;
    run.stored = Some(database.counts().await?);
    Ok(run)
}

/// Votes, and measures.
async fn load(target: &Target<'_>, args: &VotesArgs, windows: &[usize]) -> Result<Run, Error> {
    let mut poster = Connection::open(target.address, &setup::token(target.secret)?).await?;
    let intents = setup::post(&mut poster, args.intents).await?;
    drop(poster);
    let mut voters = Vec::with_capacity(windows.len());
    for (seed, &window) in windows.iter().enumerate() {
        let connection = Connection::open(target.address, &setup::token(target.secret)?).await?;
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
    let watch = async { Ok::<_, Error>(watch(target, schedule, &board).await) };
    let all = async { tokio::try_join!(answers, watch) };
    let ((), used) = timeout(args.warmup + args.duration + LAST_ANSWERS, all)
        .await
        .map_err(|_| Error::Stalled(LAST_ANSWERS.as_secs()))??;

    let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
    let latency: Histogram<u64> = std::mem::replace(&mut board.latency, histogram());
    let seconds = args.duration.as_secs_f64();
    Ok(Run {
        server: target.kind,
        database: target.database,
        in_flight: args.in_flight,
        connections: windows.len(),
        intents: args.intents,
        seconds,
        votes: latency.len(),
        votes_per_second: latency.len() as f64 / seconds,
        latency_millis: Latency::of(&latency),
        acked: board.acked,
        errors: board.refused,
        first_error: board.first_refusal.take(),
        server_cpu_seconds: used.server.map(|(before, after)| (after.cpu - before.cpu).as_secs_f64()),
        server_memory: used.server.map(|(_, after)| after.memory),
        client_cpu_seconds: used.ours.map(|(before, after)| (after.cpu - before.cpu).as_secs_f64()),
        stored: None,
        histogram: latency,
    })
}

/// What was used, at the begin and the end of what is measured.
struct Used {
    server: Option<(Usage, Usage)>,
    ours: Option<(Usage, Usage)>,
}

/// Asks the processes when the measuring begins and when it ends, and shows how it goes meanwhile.
async fn watch(target: &Target<'_>, schedule: Schedule, board: &Mutex<Board>) -> Used {
    let usage = || (target.process.and_then(|id| process::usage(&id.to_string())), process::usage("self"));
    let progress = Progress::new(target.kind, schedule);
    progress.until(schedule.measure_from, "warming up", board).await;
    let before = usage();
    progress.until(schedule.until, "measuring", board).await;
    let after = usage();
    progress.bar.finish_and_clear();
    Used { server: before.0.zip(after.0), ours: before.1.zip(after.1) }
}

/// A line on standard error, where that is a terminal.
struct Progress {
    bar: ProgressBar,
    begun: Instant,
}

impl Progress {
    fn new(kind: Kind, schedule: Schedule) -> Progress {
        let begun = Instant::now();
        let bar = ProgressBar::new(millis(schedule.until.saturating_duration_since(begun)));
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(kind.name());
        Progress { bar, begun }
    }

    /// Shows the rate of the last moment until the time comes.
    async fn until(&self, end: Instant, doing: &str, board: &Mutex<Board>) {
        let counts = || {
            let board = board.lock().unwrap_or_else(PoisonError::into_inner);
            (board.acked, board.refused)
        };
        let mut last = (Instant::now(), counts().0);
        while Instant::now() < end {
            sleep_until((Instant::now() + TICK).min(end).into()).await;
            let now = Instant::now();
            let (acked, refused) = counts();
            let rate = (acked - last.1) as f64 / now.duration_since(last.0).as_secs_f64();
            last = (now, acked);
            self.bar.set_position(millis(self.begun.elapsed()));
            self.bar.set_message(format!("{doing}: {rate:.0} votes/s, {refused} errors"));
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
