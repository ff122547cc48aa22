//! Several statements in one call, each prepared once. sqlx carries out all that one text has, with one set of arguments.
//! What they are is in [`super::sql`].

use std::sync::OnceLock;

use super::sql;

/// What a commit may have to write, besides the position: a bit each in the number of its script.
pub(super) const WRITES: [&str; 9] = [
    sql::WRITE_INTENTS,
    sql::COUNT_INTENTS,
    sql::CHANGE_INTENTS,
    sql::WRITE_VOTES,
    sql::DELETE_VOTES,
    sql::WRITE_UPDATES,
    sql::WRITE_ROOMS,
    sql::WRITE_LOG,
    sql::WRITE_REQUESTS,
];

/// Begins a transaction and loads what commands touch. Its arguments: the intents, the rooms of posts, the intents again;
/// where there are any, the pairs of intent and voter; where there are any, the pairs of user and request id.
pub(super) fn load(has_votes: bool, has_requests: bool) -> &'static str {
    static LOADS: [OnceLock<String>; 4] = [const { OnceLock::new() }; 4];
    LOADS[usize::from(has_votes) + 2 * usize::from(has_requests)].get_or_init(|| {
        let mut statements =
            vec!["BEGIN IMMEDIATE", sql::LOAD_POSITION, sql::LOAD_INTENTS, sql::LOAD_ROOMS, sql::LOAD_ROOMS_OF];
        statements.extend(has_votes.then_some(sql::LOAD_VOTES));
        statements.extend(has_requests.then_some(sql::LOAD_REQUESTS));
        script(&statements)
    })
}

/// Writes and commits. `which` has a bit for each of [`WRITES`] that there is something for; those are the arguments,
/// and then the position.
pub(super) fn write(which: u16) -> &'static str {
    static SCRIPTS: [OnceLock<String>; 1 << WRITES.len()] = [const { OnceLock::new() }; 1 << WRITES.len()];
    SCRIPTS[usize::from(which) % SCRIPTS.len()].get_or_init(|| {
        let wanted = |bit: &usize| which & (1 << bit) != 0;
        let mut statements: Vec<_> = (0..WRITES.len()).filter(wanted).map(|bit| WRITES[bit]).collect();
        statements.extend([sql::WRITE_POSITION, "COMMIT"]);
        script(&statements)
    })
}

/// One text of them all, the parameters of each counted on from those before. They get names: for SQLite a statement with
/// `?5` has five parameters, one with `$5` has one, and to sqlx both are the fifth argument.
fn script(statements: &[&str]) -> String {
    let mut script = String::new();
    let mut before = 0;
    for statement in statements {
        let mut last = 0;
        let mut parts = statement.split('?');
        script.extend(parts.next());
        for part in parts {
            // There are fewer than ten, and no other question marks.
            let (number, rest) = part.split_at(1);
            let number = number.parse().unwrap_or(0);
            last = last.max(number);
            script.push_str(&format!("${}{rest}", before + number));
        }
        before += last;
        script.push_str(";\n");
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted_on() {
        let got = script(&["BEGIN", "a = ?1", "b = ?2, c = ?1", "d", "e = ?1 AND f"]);
        assert_eq!(got, "BEGIN;\na = $1;\nb = $3, c = $2;\nd;\ne = $4 AND f;\n");
        // What is taken for a parameter is one.
        let statements = WRITES.iter().chain(&[sql::WRITE_POSITION, sql::LOAD_ROOMS, sql::LOAD_VOTES]);
        for part in statements.flat_map(|statement| statement.split('?').skip(1)) {
            assert!(part.starts_with(['1', '2', '3']), "{part}");
        }
    }

    #[test]
    fn a_script_has_what_is_asked_for_and_ends_with_the_commit() {
        let script = write(0b0_1000_0100);
        assert!(script.find("\"gossip_intents\" SET") < script.find("INTO \"gossip_log\""));
        assert!(!script.contains("gossip_votes") && script.ends_with("COMMIT;\n"));
        assert_eq!(write(0).matches(';').count(), 2);
    }
}
