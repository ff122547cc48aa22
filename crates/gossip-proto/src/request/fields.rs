//! The members of an object that a client sent, each read on its own, so that a fault names its member. Which members
//! an event has, [`super::Request`] knows.

use std::borrow::Cow;
use std::collections::HashMap;
use std::str::FromStr;

use serde_json::Value;
use serde_json::value::RawValue;

use super::{DEFAULT_LIMIT, MAX_LIMIT, MAX_REQUEST_ID, Page, RequestId};
use crate::refusal::Refusal;

/// What is wrong with a member.
pub(super) type Wrong = Cow<'static, str>;

/// The members of a data object, each still as it came: one that is wrong, however deep or large, spoils only itself.
/// Members that nobody asks for are ignored.
pub(super) struct Fields<'a>(HashMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Fields<'a> {
    pub(super) fn read(data: Option<&'a RawValue>) -> Result<Self, Refusal> {
        let raw = data.ok_or_else(|| Refusal::invalid("data", "must be an object"))?;
        serde_json::from_str(raw.get()).map(Fields).map_err(|_| Refusal::invalid("data", "must be an object"))
    }

    /// The member, unless it is missing or `null`, which mean the same to a JavaScript client.
    pub(super) fn present(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|raw| raw.get() != "null")
    }

    pub(super) fn optional<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&'a RawValue) -> Result<T, Wrong>,
    ) -> Result<Option<T>, Refusal> {
        self.present(name).map(read).transpose().map_err(|wrong| Refusal::invalid(name, wrong))
    }

    pub(super) fn required<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&'a RawValue) -> Result<T, Wrong>,
    ) -> Result<T, Refusal> {
        self.optional(name, read)?.ok_or_else(|| Refusal::invalid(name, "is required"))
    }

    pub(super) fn request_id(&self) -> Result<Option<RequestId>, Refusal> {
        self.optional("requestId", |raw| {
            let id = text(raw)?;
            match id.chars().count() {
                1..=MAX_REQUEST_ID if !id.contains('\0') => Ok(RequestId(id)),
                _ => Err("must have 1 to 64 characters".into()),
            }
        })
    }

    pub(super) fn page(&self) -> Result<Page, Refusal> {
        let limit = self.optional("limit", |raw| match whole_number(raw)? {
            n @ 1..=MAX_LIMIT => Ok(n),
            _ => Err("must be 1 to 100".into()),
        })?;
        Ok(Page { limit: limit.unwrap_or(DEFAULT_LIMIT), before: self.optional("before", text)? })
    }
}

pub(super) fn text(raw: &RawValue) -> Result<String, Wrong> {
    if !raw.get().starts_with('"') {
        return Err("must be a string".into());
    }
    // What is left to go wrong is an escape that stands for half a character.
    serde_json::from_str(raw.get()).map_err(|_| "must be well-formed Unicode".into())
}

pub(super) fn id<T: FromStr<Err = crate::id::NotAUuid>>(raw: &RawValue) -> Result<T, Wrong> {
    text(raw)?.parse().map_err(|wrong: crate::id::NotAUuid| wrong.to_string().into())
}

pub(super) fn word<T: FromStr<Err = crate::model::UnknownWord>>(raw: &RawValue) -> Result<T, Wrong> {
    text(raw)?.parse().map_err(|wrong: crate::model::UnknownWord| wrong.to_string().into())
}

/// A whole number from 0, also as `5.0`, which some clients write.
pub(super) fn whole_number(raw: &RawValue) -> Result<u64, Wrong> {
    /// Up to here a double counts in ones.
    const MAX_SAFE: f64 = 9_007_199_254_740_991.0;
    if let Ok(number) = serde_json::from_str::<u64>(raw.get()) {
        return Ok(number);
    }
    match serde_json::from_str::<f64>(raw.get()) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked on this line")]
        Ok(number) if number.fract() == 0.0 && (0.0..=MAX_SAFE).contains(&number) => Ok(number as u64),
        _ => Err("must be a whole number".into()),
    }
}

pub(super) fn json(raw: &RawValue) -> Result<Value, Wrong> {
    serde_json::from_str(raw.get()).map_err(|_| "is nested too deeply, or holds what is no JSON value".into())
}
