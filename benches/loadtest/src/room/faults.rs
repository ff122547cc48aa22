//! What was wrong with a room's events, counted, with the first example of each kind.

/// What no server must do.
#[derive(Debug, Default, Clone)]
pub(crate) struct Faults {
    missing: Count,
    doubled: Count,
    late: Count,
    altered: Count,
    foreign: Count,
    gone: Count,
}

#[derive(Debug, Default, Clone)]
struct Count {
    times: u64,
    first: Option<String>,
}

impl Count {
    fn add(&mut self, times: u64, example: impl FnOnce() -> String) {
        if times > 0 {
            self.times += times;
            self.first.get_or_insert_with(example);
        }
    }
}

impl Faults {
    /// A member never got so many events, the first of them `seq`.
    pub(super) fn missing(&mut self, times: u64, seq: u64) {
        self.missing.add(times, || format!("seq {seq}"));
    }

    /// A member got an event again.
    pub(super) fn doubled(&mut self, seq: u64) {
        self.doubled.add(1, || format!("seq {seq}"));
    }

    /// A member got an event after one that comes after it.
    pub(super) fn late(&mut self, seq: u64) {
        self.late.add(1, || format!("seq {seq}"));
    }

    /// A member got other bytes than the first.
    pub(super) fn altered(&mut self, seq: u64) {
        self.altered.add(1, || format!("seq {seq}"));
    }

    /// A member got what is no event of its room.
    pub(super) fn foreign(&mut self, event: &[u8]) {
        self.foreign.add(1, || String::from_utf8_lossy(&event[..event.len().min(200)]).into_owned());
    }

    /// A member lost its connection.
    pub(super) fn gone(&mut self, why: &str) {
        self.gone.add(1, || why.to_owned());
    }

    /// Adds another room's.
    pub(crate) fn add(&mut self, other: &Faults) {
        for (mine, theirs) in self.all_mut().into_iter().zip(other.all()) {
            mine.add(theirs.times, || theirs.first.clone().unwrap_or_default());
        }
    }

    fn all(&self) -> [&Count; 6] {
        [&self.missing, &self.doubled, &self.late, &self.altered, &self.foreign, &self.gone]
    }

    fn all_mut(&mut self) -> [&mut Count; 6] {
        [&mut self.missing, &mut self.doubled, &mut self.late, &mut self.altered, &mut self.foreign, &mut self.gone]
    }

    /// A line for each kind.
    pub(crate) fn lines(&self) -> Vec<String> {
        let kinds = [
            "deliveries are missing",
            "deliveries came twice",
            "deliveries came out of order",
            "deliveries had other bytes than another member's",
            "deliveries are of no event of the room",
            "members lost their connection",
        ];
        let told = kinds.into_iter().zip(self.all()).filter(|(_, count)| count.times > 0);
        told.map(|(kind, Count { times, first })| {
            format!("{times} {kind}, the first: {}", first.as_deref().unwrap_or_default())
        })
        .collect()
    }
}
