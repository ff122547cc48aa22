//! The report for programs.

use super::Report;

impl Report {
    /// All there is, a line each, in the order of the fields.
    ///
    /// # Errors
    /// None that is known of: numbers that are none become `null`.
    pub(crate) fn json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}
