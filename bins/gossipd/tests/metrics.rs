//! `/metrics` (contract §1): what Prometheus asks of names and values holds, the values move as clients do things, it
//! answers while the server drains, and two servers in one process keep their figures apart. Grafana's dashboard and
//! Prometheus' alerts in `deploy` name nothing that is not there.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod exposition;
#[expect(dead_code, reason = "each test uses its own part of it")]
mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;

use exposition::Exposition;
use gossip_hub::SystemEnv;
use serde_json::{Value, json};
use support::http::Http;
use support::server::{Home, new_room};
use support::websocket::{Client, Got};
use support::within;

async fn text(address: SocketAddr) -> String {
    let answer = Http::connect(address).await.unwrap().get("/metrics", "").await.unwrap();
    assert_eq!(answer.status, 200);
    answer.body
}

async fn metrics(address: SocketAddr) -> Exposition {
    let text = text(address).await;
    let metrics = Exposition::parse(&text).unwrap();
    assert_eq!(metrics.problems(), Vec::<String>::new(), "{text}");
    metrics
}

/// Asks Prometheus' own tool, where there is one: `PROMTOOL` names it, or it is in `PATH`.
fn promtool(text: &str) {
    let program = std::env::var_os("PROMTOOL").unwrap_or_else(|| "promtool".into());
    let mut command = Command::new(program);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else { return };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_are_as_prometheus_asks_and_move_with_what_happens() {
    let home = Home::new(Arc::new(SystemEnv));
    let server = home.start_limiting(&["--rate-new-gossip", "5/60s"]).await;
    let address = server.address();
    let before = metrics(address).await;
    assert_eq!(before.value("gossipd_connections_opened_total", &[("protocol", "socketio")]), 0.0);
    assert_eq!(before.find("gossipd_commands_total", &[("event", "new_gossip"), ("outcome", "success")]), Some(0.0));

    let room = new_room();
    let mut author = server.client("user").await;
    let mut reader = server.plain("user").await;
    author.call("join_room", json!({ "roomId": room })).await;
    reader.call("join_room", json!({ "roomId": room })).await;
    let mut intent = Value::Null;
    for nth in 0..7 {
        let post = json!({ "roomId": room, "content": format!("psst {nth}") }).to_string();
        let ack = author.ask("new_gossip", &post).await;
        if nth < 5 {
            intent = ack["intent"]["id"].clone();
        } else {
            assert_eq!(ack["code"], "rate_limited", "{ack}");
        }
    }
    reader.call("vote_gossip", json!({ "intentId": intent, "action": "upvote" })).await;
    reader.call("comment_gossip", json!({ "intentId": intent, "content": "so?" })).await;
    // Names that nobody has heard of are one series, whatever they are.
    for name in ["one", "two", "a\"b", "x\\", "new_gossip2"] {
        assert_eq!(author.ask(name, "{}").await["code"], "unknown_event");
    }
    assert_eq!(author.ask("join_room", "7").await["field"], "data");

    within("the last delivery", async {
        // Acks do not wait for what goes to others. Five posts, a vote and a comment, to two members.
        while metrics(address).await.value("gossipd_deliveries_total", &[]) < 14.0 {}
    })
    .await;
    let text = text(address).await;
    promtool(&text);
    let after = metrics(address).await;
    let is = |name: &str, labels: &[(&str, &str)], value: f64| {
        assert_eq!(after.find(name, labels), Some(value), "{name} {labels:?} in\n{text}");
    };
    for protocol in ["socketio", "plain"] {
        is("gossipd_connections", &[("protocol", protocol)], 1.0);
        is("gossipd_connections_opened_total", &[("protocol", protocol)], 1.0);
    }
    is("gossipd_rooms", &[], 1.0);
    is("gossipd_users", &[], 2.0);
    let commands = [
        ("join_room", "success", 2.0),
        ("join_room", "invalid_input", 1.0),
        ("new_gossip", "success", 5.0),
        ("new_gossip", "rate_limited", 2.0),
        ("vote_gossip", "success", 1.0),
        ("comment_gossip", "success", 1.0),
        ("unknown", "unknown_event", 5.0),
    ];
    for (event, outcome, count) in commands {
        is("gossipd_commands_total", &[("event", event), ("outcome", outcome)], count);
    }
    is("gossipd_command_duration_seconds_count", &[("event", "new_gossip")], 7.0);
    is("gossipd_command_duration_seconds_bucket", &[("event", "new_gossip"), ("le", "+Inf")], 7.0);
    is("gossipd_deliveries_total", &[], 14.0);
    is("gossipd_limits_reached_total", &[("limit", "new_gossip")], 2.0);
    is("gossipd_commit_batch_commands_sum", &[], 7.0);
    let commits = after.value("gossipd_commits_total", &[("outcome", "committed")]);
    assert!((1.0..=7.0).contains(&commits), "{commits}");
    is("gossipd_commit_duration_seconds_count", &[], commits);
    is("gossipd_commits_total", &[("outcome", "failed")], 0.0);
    is("gossipd_commit_queue_commands", &[], 0.0);
    is("gossipd_store_ready", &[], 1.0);
    is("gossipd_store_info", &[("kind", "sqlite")], 1.0);
    is("gossipd_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    is("gossipd_draining", &[], 0.0);
    is("gossipd_panics_total", &[], 0.0);
    is("gossipd_slow_readers_lagged_total", &[], 0.0);
    assert!(after.value("process_resident_memory_bytes", &[]) > 1e6);
    assert!(after.value("process_open_fds", &[]) > 5.0);
    assert!(after.value("process_cpu_seconds_total", &[]) > 0.0);
    let began = after.value("process_start_time_seconds", &[]);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((now - 300.0..=now).contains(&began), "{began}, and it is {now}");

    // A second server in this process has heard of nothing.
    let other_home = Home::new(Arc::new(SystemEnv));
    let other = metrics(other_home.start(&[]).await.address()).await;
    assert_eq!(other.value("gossipd_deliveries_total", &[]), 0.0);
    assert_eq!(other.value("gossipd_commands_total", &[("event", "new_gossip"), ("outcome", "success")]), 0.0);

    drop(reader);
    within("the reader's end", async {
        // Each request is an event that may show it.
        while metrics(address).await.value("gossipd_connections", &[("protocol", "plain")]) > 0.0 {}
    })
    .await;
    assert_eq!(metrics(address).await.value("gossipd_connections_opened_total", &[("protocol", "plain")]), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_told_while_the_server_drains() {
    let home = Home::new(Arc::new(SystemEnv));
    let server = home.start(&[]).await;
    let address = server.address();
    let mut client = Client::plain(address, Some(&server.token("user"))).await;
    // A polling client that never fetches its last packets keeps the server for some seconds.
    let mut polling = Http::connect(address).await.unwrap();
    assert_eq!(polling.get("/socket.io/?EIO=4&transport=polling", "").await.unwrap().status, 200);
    let stopping = tokio::spawn(server.daemon.stop());
    let (name, _) = client.event().await;
    assert_eq!(name, "server_draining");
    assert!(matches!(client.next().await, Got::Closed(_)));
    let draining = metrics(address).await;
    assert_eq!(draining.find("gossipd_draining", &[]), Some(1.0));
    assert_eq!(draining.find("gossipd_store_ready", &[]), Some(1.0));
    stopping.abort();
}

/// Everything in a file that looks like a figure of ours.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_ours = |word: &&str| word.starts_with("gossipd_") || word.starts_with("process_");
    words.filter(is_ours).map(str::to_owned).collect()
}

fn texts_of<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == key => found.push(text),
                    member => texts_of(member, key, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts_of(item, key, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_dashboard_and_the_alerts_name_what_is_there() {
    let home = Home::new(Arc::new(SystemEnv));
    let server = home.start(&[]).await;
    let metrics = metrics(server.address()).await;
    let series: BTreeSet<String> =
        metrics.0.iter().flat_map(|family| &family.samples).map(|sample| sample.name.clone()).collect();

    let dashboard: Value = serde_json::from_str(include_str!("../../../deploy/grafana/gossipd.json")).unwrap();
    let mut queries = Vec::new();
    texts_of(&dashboard, "expr", &mut queries);
    texts_of(&dashboard["templating"], "query", &mut queries);
    let in_dashboard = named(&queries.join("\n"));
    assert_eq!(in_dashboard.difference(&series).collect::<Vec<_>>(), Vec::<&String>::new(), "are not told");
    // And all that is told is drawn somewhere.
    let is_drawn = |name: &str| in_dashboard.iter().any(|drawn| drawn.starts_with(name));
    let missing: Vec<_> = metrics.0.iter().map(|family| &family.name).filter(|name| !is_drawn(name)).collect();
    assert_eq!(missing, Vec::<&String>::new(), "are in no panel");
    // Whichever Prometheus there is: none is named.
    let mut sources = Vec::new();
    texts_of(&dashboard["panels"], "uid", &mut sources);
    assert!(!sources.is_empty() && sources.iter().all(|uid| *uid == "${datasource}"), "{sources:?}");

    let in_alerts = named(include_str!("../../../deploy/prometheus/alerts.yml"));
    assert!(in_alerts.len() > 5);
    assert_eq!(in_alerts.difference(&series).collect::<Vec<_>>(), Vec::<&String>::new(), "are not told");
    let undocumented = |name: &&String| !include_str!("../../../docs/operating.md").contains(name.as_str());
    let missing: Vec<_> = metrics.0.iter().map(|family| &family.name).filter(undocumented).collect();
    assert_eq!(missing, Vec::<&String>::new(), "are not in docs/operating.md");
}

#[test]
fn what_prometheus_would_not_take_is_found() {
    let good = "# HELP gossipd_a_total A.\n# TYPE gossipd_a_total counter\ngossipd_a_total{b=\"c\\\"\\n\"} 1\n";
    assert!(Exposition::parse(good).unwrap().problems().is_empty());
    assert_eq!(Exposition::parse(good).unwrap().value("gossipd_a_total", &[("b", "c\"\n")]), 1.0);
    let unreadable = [
        "gossipd_a 1\n",
        "# HELP gossipd_a A.\n# TYPE gossipd_b gauge\n",
        "# HELP gossipd_a A.\n# TYPE gossipd_a gauge\ngossipd_b 1\n",
        "# HELP gossipd_a A.\n# TYPE gossipd_a gauge\ngossipd_a one\n",
        "# HELP gossipd_a A.\n# TYPE gossipd_a gauge\ngossipd_a{b=\"c} 1\n",
        "# HELP gossipd_a A.\n# TYPE gossipd_a gauge\ngossipd_a 1",
    ];
    for text in unreadable {
        assert!(Exposition::parse(text).is_err(), "{text}");
    }
    let family = |name: &str, kind: &str, values: &str| {
        let text = format!("# HELP {name} A.\n# TYPE {name} {kind}\n{}", values.replace('@', name));
        Exposition::parse(&text).unwrap().problems()
    };
    let many: String = (0..40).map(|nth| format!("@{{room=\"{nth}\"}} 1\n")).collect();
    let buckets =
        |first: &str| format!("@_bucket{{le=\"0.001\"}} {first}\n@_bucket{{le=\"+Inf\"}} 1\n@_sum 0.5\n@_count 1\n");
    for (name, kind, values) in [
        ("gossipd_a", "counter", "@ 1\n"),
        ("gossipd_a_total", "gauge", "@ 1\n"),
        ("gossipd_a_ms", "gauge", "@ 1\n"),
        ("gossipd_a_counter", "gauge", "@ 1\n"),
        ("a", "gauge", "@ 1\n"),
        ("gossipd_aB", "gauge", "@ 1\n"),
        ("gossipd_a", "gauge", ""),
        ("gossipd_a", "untyped", "@ 1\n"),
        ("gossipd_a", "gauge", "@ 1\n@ 2\n"),
        ("gossipd_a_total", "counter", "@ -1\n"),
        ("gossipd_a", "gauge", &many),
        ("gossipd_a", "gauge", "@{b=\"\"} 1\n"),
        ("gossipd_a", "gauge", "@{b=\"1\"} 1\n@{c=\"1\"} 1\n"),
        ("gossipd_a_info", "gauge", "@{version=\"1\"} 2\n"),
        ("gossipd_a_seconds", "histogram", &buckets("1")),
        ("gossipd_a_commands", "histogram", &buckets("2")),
        ("gossipd_a_commands", "histogram", "@_bucket{le=\"1\"} 1\n@_sum 1\n@_count 1\n"),
        ("gossipd_a_commands", "histogram", "@_sum 1\n@_count 1\n"),
    ] {
        assert!(!family(name, kind, values).is_empty(), "{kind} {name}: {values}");
    }
    assert_eq!(family("gossipd_a_commands", "histogram", &buckets("1")), Vec::<String>::new());
}
