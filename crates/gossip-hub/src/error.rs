//! What can go wrong for who embeds a gateway. What goes wrong for a client is a
//! [`gossip_proto::refusal::Refusal`].

/// Failure of a gateway's own call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key that is none.
    #[error("the {kind} is not usable: {reason}")]
    Key {
        /// Which kind of key.
        kind: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A token could not be signed with this key: only a shared secret signs.
    #[error("tokens can only be signed with a shared secret")]
    CannotSign,
    /// The data of a broadcast would not become JSON.
    #[error("the data could not be encoded")]
    Encode(#[from] serde_json::Error),
    /// The store did not answer at the start.
    #[error("the store does not answer")]
    Store(#[source] gossip_store::Error),
    /// An event name that clients keep for themselves.
    #[error("the event name {0:?} is reserved")]
    ReservedEvent(String),
}
