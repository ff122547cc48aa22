//! What the table and the page both show of runs side by side: which settings all of them share, and the figures of each
//! in one order. Texts only.

use super::{Run, number};

/// A row: what it is called, and what it is in each run; nothing where a run has no such.
pub(super) type Row = (String, Vec<Option<String>>);

/// Settings that are the same in all runs.
pub(super) fn shared(runs: &[Run]) -> Vec<(String, String)> {
    let Some((first, others)) = runs.split_first() else { return Vec::new() };
    let everywhere = first.settings.iter().filter(|setting| others.iter().all(|run| run.settings.contains(setting)));
    everywhere.map(|setting| (setting.name.clone(), setting.value.clone())).collect()
}

/// Settings that differ between runs, and all figures.
pub(super) fn rows(runs: &[Run]) -> Vec<Row> {
    let shared = shared(runs);
    let settings = in_order(runs.iter().map(|run| run.settings.iter().map(|setting| setting.name.as_str())));
    let settings = settings.into_iter().filter(|name| shared.iter().all(|(other, _)| name != other)).map(|name| {
        let of = |run: &Run| Some(run.settings.iter().find(|setting| setting.name == name)?.value.clone());
        (name.to_owned(), runs.iter().map(of).collect())
    });
    let keys = in_order(runs.iter().map(|run| run.figures.iter().map(|figure| figure.key)));
    let figures = keys.into_iter().map(|key| {
        let of = |run: &Run| run.figures.iter().find(|figure| figure.key == key).cloned();
        let label = runs.iter().find_map(of).map_or_else(String::new, |figure| figure.label);
        let texts = runs.iter().map(|run| of(run).map(|figure| number::text(figure.value, figure.unit)));
        (label, texts.collect())
    });
    settings.chain(figures).collect()
}

/// Every name once, and each where the first run that has it has it.
pub(super) fn in_order<'a>(lists: impl Iterator<Item = impl Iterator<Item = &'a str>>) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for list in lists {
        // A name that the runs before lack comes after the one it follows here, if it follows one.
        let mut place = all.len();
        for name in list {
            place = match all.iter().position(|other| *other == name) {
                Some(found) => found + 1,
                None => {
                    all.insert(place, name);
                    place + 1
                }
            };
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Unit;

    #[test]
    fn names_are_in_the_order_of_all() {
        let lists = [vec!["a", "c"], vec!["a", "b", "c", "d"], vec!["e", "d"]];
        assert_eq!(in_order(lists.iter().map(|list| list.iter().copied())), ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn runs_stand_side_by_side() {
        let (mut one, mut two) = (Run::new("one"), Run::new("two"));
        one.set("size", 200);
        two.set("size", 200);
        one.set("shards", 1);
        two.set("shards", 2);
        one.figure("x", "an x", 1.5, Unit::Millis);
        let runs = [one, two];
        assert_eq!(shared(&runs), [("size".to_owned(), "200".to_owned())]);
        let some = |text: &str| Some(text.to_owned());
        let rows = rows(&runs);
        assert_eq!(rows[0], ("shards".to_owned(), vec![some("1"), some("2")]));
        assert_eq!(rows[1], ("an x".to_owned(), vec![some("1.50 ms"), None]));
    }
}
