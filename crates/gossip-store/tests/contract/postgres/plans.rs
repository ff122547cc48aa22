//! No statement reads a big table as a whole: each is explained over tables that are big, with the planner's own
//! preferences and with those of the store's connections, which do not leave it the choice.

use gossip_store::postgres::sql;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use crate::support::{PostgresDatabase, statements_in};

/// How many intents; more show by `PLAN_ROWS=1000000`, and take as much longer.
const ROWS: u64 = 200_000;

/// Tables that are small for ever, or that a statement means to read as a whole.
const SMALL: [&str; 1] = ["gossip_position"];

fn fill(rows: u64) -> String {
    // Names and times of the nth row; a room has ten intents.
    format!(
        r#"
SET synchronous_commit = off;
CREATE FUNCTION pg_temp.u(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS 'SELECT md5(kind || n)::uuid';
INSERT INTO "gossip_intents" ("id", "roomId", "userId", "content", "status", "expiresAt", "createdAt")
  SELECT pg_temp.u('i', n), pg_temp.u('r', n % ({rows} / 10)), pg_temp.u('u', n % 5000), 'gossip ' || n,
         (ARRAY['expired', 'expired', 'expired', 'pending', 'verified'])[1 + n % 5],
         now() + (n % 10000 - 100) * interval '1 minute', now() - n * interval '1 second'
  FROM generate_series(1, {rows}) n;
INSERT INTO "gossip_updates" ("id", "intentId", "userId", "type", "content", "createdAt")
  SELECT pg_temp.u('U', n), pg_temp.u('i', 1 + n % {rows}), pg_temp.u('u', n % 4999),
         CASE WHEN n % 4 = 0 THEN 'comment' ELSE 'vote' END, 'upvote', now() - n * interval '1 second'
  FROM generate_series(1, {rows}) n;
INSERT INTO "gossip_votes" SELECT "intentId", "userId", 'upvote' FROM "gossip_updates" WHERE "type" = 'vote'
  ON CONFLICT DO NOTHING;
INSERT INTO "gossip_rooms" SELECT pg_temp.u('r', n), 10 FROM generate_series(0, {rows} / 10) n;
INSERT INTO "gossip_log" SELECT n, pg_temp.u('r', n % ({rows} / 10)), n, '{{}}', now() - ({rows} - n) * interval '1 ms'
  FROM generate_series(1, {rows}) n;
INSERT INTO "gossip_room_members" SELECT pg_temp.u('r', n % ({rows} / 10)), pg_temp.u('u', n)
  FROM generate_series(1, {rows} / 4) n;
INSERT INTO "gossip_requests" SELECT pg_temp.u('u', n % 4999), n::text, pg_temp.u('f', n), '{{}}', now()
  FROM generate_series(1, {rows} / 4) n;
INSERT INTO "gossip_recoveries" SELECT pg_temp.u('p', n), pg_temp.u('u', n), now() - n * interval '1 second'
  FROM generate_series(1, {rows} / 10) n;
INSERT INTO "gossip_recovery_rooms" SELECT pg_temp.u('p', n / 3), pg_temp.u('r', n), 1
  FROM generate_series(1, {rows} / 4) n ON CONFLICT DO NOTHING;
INSERT INTO "gossip_access_changes" ("xid", "userId", "roomId", "createdAt")
  SELECT n / 3, pg_temp.u('u', n), pg_temp.u('r', n), now() - ({rows} - n) * interval '1 ms'
  FROM generate_series(1, {rows} / 4) n;
INSERT INTO "gossip_revocations" SELECT pg_temp.u('u', n), now() FROM generate_series(1, {rows} / 10) n;
ANALYZE;"#
    )
}

/// The plan that the store's connections use: one for all values.
async fn explain(connection: &mut PgConnection, statement: &str) -> Vec<String> {
    let parameters = (1..).take_while(|n| statement.contains(&format!("${n}"))).count();
    connection.execute(AssertSqlSafe(format!("PREPARE s AS {statement}"))).await.unwrap();
    let values = vec!["NULL"; parameters].join(", ");
    let call = if parameters == 0 { "s".to_owned() } else { format!("s({values})") };
    let rows =
        sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN EXECUTE {call}"))).fetch_all(&mut *connection).await.unwrap();
    connection.execute("DEALLOCATE s").await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// The lines of a plan that read a big table without a condition on its index, and not for a few rows from its end.
fn whole_tables(plan: &[String]) -> Vec<&String> {
    let is_whole = |at: usize| {
        let line = plan[at].trim_start();
        let reads = line.contains(" Scan ") && line.contains("gossip_") || line.contains("Bitmap Heap Scan");
        let is_small = SMALL.iter().any(|table| line.contains(table));
        // What belongs to a scan stands below it, further in, until the next node.
        let below = plan[at + 1..].iter().take_while(|next| !next.contains("->"));
        let has_condition =
            below.clone().any(|next| ["Index Cond", "Recheck Cond", "TID Cond"].iter().any(|word| next.contains(word)));
        let is_ordered_end = line.contains("Index") && plan[..at].last().is_some_and(|above| above.contains("Limit"));
        reads && !is_small && !has_condition && !is_ordered_end
    };
    (0..plan.len()).filter(|at| is_whole(*at)).map(|at| &plan[at]).collect()
}

#[tokio::test]
async fn no_statement_reads_a_big_table_as_a_whole() {
    assert_eq!(sql::ALL.len(), statements_in(include_str!("../../../src/postgres/sql.rs")));
    let rows = std::env::var("PLAN_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(ROWS);
    let database = PostgresDatabase::create().await;
    database.open().await;
    let mut connection = database.connection().await;
    connection.execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
    let mut wrong = Vec::new();
    // First over empty tables: they may have grown when the plans are used.
    for preference in ["SET enable_seqscan = off", "SET enable_seqscan = on", "SET enable_seqscan = off"] {
        if preference.ends_with("on") {
            let begun = std::time::Instant::now();
            database.execute(&fill(rows)).await;
            println!("{rows} intents were made in {:?}", begun.elapsed());
        }
        connection.execute(preference).await.unwrap();
        for (name, statement) in sql::ALL {
            let plan = explain(&mut connection, statement).await;
            println!("{name}\n{}\n", plan.join("\n"));
            wrong.extend(whole_tables(&plan).into_iter().map(|line| format!("{preference}, {name}: {line}")));
        }
    }
    connection.close().await.unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
