//! The scenario `storm`: clients who connect, authenticate, join a room and drop, many at a time, over and over, as after an
//! outage. What a cycle costs the server, whether anything fails or is left behind, and what those notice who were there
//! before.

mod bystanders;
mod found;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::time::sleep;
use uuid::Uuid;

use crate::cli::StormArgs;
use crate::crowd::{all_at_once, joined_at};
use crate::error::Error;
use crate::limits;
use crate::meter::{Counter, Meter};
use crate::report::{Report, Run, histogram, started_now};
use crate::socket::Socket;
use crate::target::{self, Target};
use bystanders::Bystanders;
pub(crate) use bystanders::{Silent, post};
use found::{Found, Round};

/// In how many rooms the clients are, none of them the bystanders'.
const ROOMS: usize = 100;
/// So many come and go before anything is measured, so that the server has what it opens and makes but once.
const FIRST: usize = 200;
/// How long it then has to notice that they are gone.
const SETTLE: Duration = Duration::from_millis(500);
/// How long the bystanders are alone, for comparison.
const CALM: Duration = Duration::from_secs(2);

/// Runs the scenario.
///
/// # Errors
/// Where there is nothing to report. What goes wrong in the storm is counted.
pub(crate) async fn run(args: &StormArgs) -> Result<Report, Error> {
    let started_at = started_now();
    let runs = target::on_each(&args.servers, async |target| load(target, args).await).await?;
    Ok(Report::new("storm", started_at, runs))
}

async fn load(target: &Target, args: &StormArgs) -> Result<Run, Error> {
    limits::raise_files(args.concurrency + args.bystanders)?;
    let meter = Meter::new(target.kind.name(), target.process);
    meter.during(calm_and_storm(target, args, &meter)).await
}

async fn calm_and_storm(target: &Target, args: &StormArgs, meter: &Meter) -> Result<Run, Error> {
    meter.phase("connecting", None);
    let storm = Rc::new(Storm::new(target, args, meter)?);
    if args.bystanders == 0 {
        sleep(CALM).await;
        let found = rage(target, args, meter, &storm, None).await?;
        return Ok(tell(target, args, meter, found));
    }
    let bystanders = Bystanders::gather(target, args.bystanders, meter).await?;
    let found = tokio::select! {
        found = rage(target, args, meter, &storm, Some(&bystanders)) => found?,
        () = bystanders.post_for_ever() => return Err(Error::Broken("the bystanders stopped".into())),
    };
    meter.phase("last posts", None);
    let left = bystanders.settle().await;
    let during = found.calm.as_ref().map(|calm| bystanders.times().since(calm));
    let mut run = tell(target, args, meter, Found { during, ..found });
    bystanders.tell_faults(&mut run, left);
    Ok(run)
}

fn tell(target: &Target, args: &StormArgs, meter: &Meter, found: Found) -> Run {
    let mut run = target.run();
    run.set("clients", args.clients);
    run.set("at once", args.concurrency);
    run.set("cycles of each", args.cycles);
    run.set("bystanders", args.bystanders);
    found.tell(&mut run);
    meter.tell(&mut run);
    run
}

/// The calm before, and then all rounds.
async fn rage(
    target: &Target,
    args: &StormArgs,
    meter: &Meter,
    storm: &Rc<Storm>,
    bystanders: Option<&Bystanders>,
) -> Result<Found, Error> {
    meter.phase("trying", None);
    cycles(target, storm, args.clients.min(FIRST), args.concurrency).await?;
    storm.begin();
    sleep(SETTLE).await;

    meter.phase("calm", Some(CALM));
    let measure = |on| bystanders.into_iter().for_each(|them| them.measure(on));
    measure(true);
    let (cpu, begun) = (meter.server_cpu(), Instant::now());
    sleep(CALM).await;
    measure(false);
    let calm_cores =
        cpu.zip(meter.server_cpu()).map(|(before, after)| (after - before) / begun.elapsed().as_secs_f64());
    sleep(SETTLE).await;
    let calm = bystanders.map(Bystanders::times);
    let (descriptors, rss_before) = (meter.server_descriptors(), meter.server_rss());

    meter.begin();
    let mut rounds = Vec::with_capacity(args.cycles);
    for _ in 0..args.cycles {
        meter.phase("storm", None);
        let begun = Instant::now();
        measure(true);
        cycles(target, storm, args.clients, args.concurrency).await?;
        let seconds = begun.elapsed().as_secs_f64();
        // Not what is posted while the server does nothing but notice that they are gone.
        measure(false);
        meter.phase("dropped", None);
        let descriptors = meter.server_closed(descriptors).await;
        rounds.push(Round { seconds, rss: meter.server_rss(), descriptors });
    }
    meter.end();
    let failures = storm.failures.borrow();
    Ok(Found {
        clients: args.clients,
        rounds,
        failures: failures.0,
        first_failure: failures.1.clone(),
        handshake: storm.handshake.borrow().clone(),
        joined: storm.joined.borrow().clone(),
        calm,
        during: None,
        calm_cores,
        descriptors,
        rss_before,
        used: meter.used(),
    })
}

/// Lets so many clients come and go once.
async fn cycles(target: &Target, storm: &Rc<Storm>, clients: usize, at_once: usize) -> Result<(), Error> {
    let address = target.socket_address;
    let done = all_at_once(clients, at_once, |client| {
        let storm = Rc::clone(storm);
        async move {
            storm.cycle(address, client).await;
            Ok(())
        }
    });
    done.await.map(|_| ())
}

/// What the clients share.
struct Storm {
    /// Of each client.
    tokens: Vec<String>,
    rooms: Vec<Uuid>,
    /// How many connections there are in all.
    connections: usize,
    /// Microseconds from beginning to connect to being in the namespace.
    handshake: RefCell<Histogram<u64>>,
    /// Microseconds from asking to be in a room to the ack.
    joined: RefCell<Histogram<u64>>,
    /// How many, and the first.
    failures: RefCell<(u64, Option<String>)>,
    cycles: Counter,
    meter: Meter,
}

impl Storm {
    /// Signs everybody's token, so that this is not counted.
    fn new(target: &Target, args: &StormArgs, meter: &Meter) -> Result<Storm, Error> {
        Ok(Storm {
            tokens: (0..args.clients).map(|_| target.token()).collect::<Result<_, _>>()?,
            rooms: (0..ROOMS).map(|_| Uuid::new_v4()).collect(),
            connections: args.clients * args.cycles,
            handshake: RefCell::new(histogram()),
            joined: RefCell::new(histogram()),
            failures: RefCell::default(),
            cycles: meter.counter("cycles"),
            meter: meter.clone(),
        })
    }

    /// What was measured so far does not count; what failed does.
    fn begin(&self) {
        self.handshake.borrow_mut().reset();
        self.joined.borrow_mut().reset();
    }

    /// One client comes and goes.
    async fn cycle(&self, address: std::net::SocketAddr, client: usize) {
        match self.come_and_go(address, client).await {
            Ok(()) => self.cycles.add(1),
            Err(error) => {
                self.meter.error();
                let (count, first) = &mut *self.failures.borrow_mut();
                *count += 1;
                first.get_or_insert_with(|| error.chain());
            }
        }
    }

    async fn come_and_go(&self, address: std::net::SocketAddr, client: usize) -> Result<(), Error> {
        // Closed connections keep their ports for a while: one address has too few for all cycles.
        let index = client + usize::try_from(self.cycles.get()).unwrap_or(0) / self.tokens.len() * self.tokens.len();
        let source = limits::source(address, index, self.connections);
        let begun = Instant::now();
        let socket = Socket::connect(address, &self.tokens[client], source).await?;
        record(&self.handshake, begun);
        let begun = Instant::now();
        let room = self.rooms[client % ROOMS];
        let answer = socket.call("join_room", format_args!(r#"{{"roomId":"{room}"}}"#)).await?;
        joined_at(&answer).map_err(Error::Setup)?;
        record(&self.joined, begun);
        Ok(())
    }
}

fn record(histogram: &RefCell<Histogram<u64>>, begun: Instant) {
    let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    histogram.borrow_mut().saturating_record(micros);
}
