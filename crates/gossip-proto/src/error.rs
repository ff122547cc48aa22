//! Why bytes from a client are not a packet: the one error of the crate's Engine.IO and Socket.IO codecs.
//!
//! It is not an answer to a client (those are the contract's codes, §2): a connection that sent such bytes is closed.

/// What was wrong with a packet. The variants name the part at fault; none of them holds anything a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An Engine.IO packet, or one element of a polling body, without as much as its type.
    #[error("empty Engine.IO packet")]
    EmptyPacket,
    /// The first character is neither `0`…`6` nor `b`.
    #[error("unknown Engine.IO packet type")]
    EngineType,
    /// A `b` packet whose remainder is not base64.
    #[error("invalid base64 in a binary packet")]
    Base64,
    /// A polling body with more than [`MAX_PACKETS`](crate::engineio::MAX_PACKETS) packets.
    #[error("too many packets in one polling body")]
    TooManyPackets,
    /// The first character of a Socket.IO packet is not `0`…`6`, or there is none.
    #[error("unknown Socket.IO packet type")]
    SocketType,
    /// A CONNECT_ERROR, which only servers send.
    #[error("CONNECT_ERROR is never sent by a client")]
    ConnectErrorFromClient,
    /// The number of attachments is not `<digits>-`, or is 0.
    #[error("invalid number of attachments")]
    AttachmentCount,
    /// More attachments announced than [`Limits::max_attachments`](crate::socketio::Limits::max_attachments).
    #[error("too many attachments")]
    TooManyAttachments,
    /// A namespace longer than [`Limits::max_namespace_len`](crate::socketio::Limits::max_namespace_len).
    #[error("namespace too long")]
    NamespaceTooLong,
    /// What stands where the packet id belongs is not an unsigned integer of 64 bits, or an ACK has none.
    #[error("invalid or missing packet id")]
    PacketId,
    /// The payload of a CONNECT is not a JSON object.
    #[error("the payload of CONNECT is not an object")]
    Auth,
    /// The payload is not JSON, or not of the shape the packet type asks for.
    #[error("invalid payload")]
    Payload,
    /// An event with more arguments than [`MAX_ARGS`](crate::socketio::MAX_ARGS).
    #[error("too many arguments")]
    TooManyArgs,
    /// The first element of an EVENT is neither a string nor a number.
    #[error("the name of the event is neither a string nor a number")]
    EventName,
    /// The event has a name that Socket.IO keeps for itself.
    #[error("reserved event name")]
    ReservedEvent,
    /// A placeholder that points at no attachment of its packet.
    #[error("placeholder without an attachment")]
    Placeholder,
    /// A text packet came while attachments of the packet before it were outstanding.
    #[error("text packet where an attachment was expected")]
    AttachmentExpected,
    /// A binary message came while no packet waits for attachments.
    #[error("unexpected binary message")]
    UnexpectedBinary,
    /// The attachments of one packet exceed [`Limits::max_binary_bytes`](crate::socketio::Limits::max_binary_bytes).
    #[error("attachments too large")]
    BinaryTooLarge,
}
