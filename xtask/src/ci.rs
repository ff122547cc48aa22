//! `cargo xtask ci`: what must hold before a change lands, `cargo xtask test --strict` first.
//! It only checks: it publishes and deploys nothing, and measures nothing. Load test and benches are run to see that they
//! run, and that what they find is right; how fast that was depends on the machine.

use crate::{
    autobahn, deny,
    error::Error,
    exec::{self, Workspace},
    fuzz, loadtest,
    postgres::Shared,
    steps::{self, Step},
    test,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out what `cargo xtask test --strict` did just before
    #[arg(long)]
    after_test: bool,
}

/// Every scenario of the load test, with next to no load. What they demand here is that nothing is lost, doubled, late or
/// left behind. What demands a time is left out: the run without a scenario, the storm's bystanders, and the delay of honest
/// clients, which `hostile` demands of longer runs alone. `soak` takes its time: what leaks shows late.
const SCENARIOS: [&str; 7] = [
    "fanout --members 50 --not-reading 2% --warmup 500ms --duration 1s",
    "rooms --rooms 5 --members 4 --rate 100 --warmup 500ms --duration 1s",
    "idle --connections 200 --rooms 10 --duration 1s",
    "storm --clients 200 --concurrency 20 --cycles 2 --bystanders 0",
    "votes --in-flight 16 --intents 50 --warmup 500ms --duration 1s",
    "hostile --hostile 99 --honest 20 --duration 3s",
    "soak --rooms 5 --members 4 --rate 100 --guests 10 --duration 45s",
];

/// For each target: what is known to be hard is in its seeds, and those are tried first.
const FUZZ_SECONDS: u64 = 4;

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<(), Error> {
    let postgres = Shared::from_env();
    let mut steps = if args.after_test { Vec::new() } else { test::every_step(workspace, &postgres) };
    steps.push(Step::new("release", || exec::run(&mut loadtest::build(workspace))));
    steps.push(Step::new("loadtest", || {
        // A verdict other than PASS is a failure of the command.
        SCENARIOS.into_iter().try_for_each(|line| exec::run(loadtest::built(workspace).args(line.split(' '))))
    }));
    steps.push(Step::new("benches", || {
        // Each once, without measuring.
        let mut benches = workspace.cargo(&["bench", "-p", "gossip-benches", "--", "--test"]);
        exec::run(postgres.lend(workspace, true, &mut benches)?)
    }));
    steps.push(Step::new("examples", || exec::run(&mut workspace.cargo(&["build", "-p", "gossip-ws", "--examples"]))));
    steps.push(Step::new("autobahn", || autobahn::every_case(workspace)));
    steps.push(Step::new("deny", || deny::run(workspace, true)));
    steps.push(Step::new("fuzz", || fuzz::briefly(workspace, FUZZ_SECONDS)));
    steps::run_all(steps, true)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_scenario_is_tried_once_and_against_nothing() {
        let names: HashSet<_> = SCENARIOS.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(names.len(), SCENARIOS.len());
        // Peers have to be downloaded.
        assert!(SCENARIOS.iter().all(|line| !line.contains("--compare") && !line.contains("--server")));
    }
}
