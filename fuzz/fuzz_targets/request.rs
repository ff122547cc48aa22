//! The events of the contract: a line with a name, then any JSON as its data; the same JSON as the `auth` of a handshake.
//! What is read is within the contract's numbers, and what is refused names a member that there is.
#![no_main]

use gossip_core::text::Limits;
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::request::{Handshake, MAX_LIMIT, MAX_REQUEST_ID, Page, Request, RequestId, refuse_binary};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

const EVENTS: [&str; 10] = [
    "authenticate",
    "join_room",
    "leave_room",
    "new_gossip",
    "update_gossip",
    "vote_gossip",
    "comment_gossip",
    "list_gossip",
    "get_gossip",
    "list_updates",
];

/// Every member of contract §2's data.
const MEMBERS: [&str; 18] = [
    "data",
    "token",
    "userId",
    "roomId",
    "since",
    "history",
    "content",
    "metadata",
    "expiresInMinutes",
    "requestId",
    "intentId",
    "status",
    "reason",
    "action",
    "limit",
    "before",
    "resume",
    "recover",
];

fn check_refusal(refusal: &Refusal, event: &str) {
    match refusal.code {
        Code::UnknownEvent => assert!(!EVENTS.contains(&event)),
        Code::InvalidInput => assert!(refusal.field.is_some_and(|field| MEMBERS.contains(&field)), "{refusal:?}"),
        Code::InvalidToken => assert_eq!(event, "connect"),
        code => panic!("{code:?} is not decided by reading"),
    }
    let told = serde_json::to_value(refusal).expect("a refusal is JSON");
    assert_eq!(told["status"], "error");
}

fn check_id(id: &Option<RequestId>) {
    assert!(id.as_ref().is_none_or(|id| (1..=MAX_REQUEST_ID).contains(&id.as_str().chars().count())));
}

fn check_page(page: &Page) {
    assert!((1..=MAX_LIMIT).contains(&page.limit));
}

fn check(request: Request) {
    let limits = Limits::default();
    match request {
        Request::JoinRoom { history, .. } => assert!(history.is_none_or(|history| history <= MAX_LIMIT)),
        Request::ListGossip { page, .. } | Request::ListUpdates { page, .. } => check_page(&page),
        Request::NewGossip { content, metadata, expires_in_minutes, request_id, .. } => {
            check_id(&request_id);
            // What follows the reading must take all of it.
            let _ = limits.gossip(&content);
            let _ = limits.metadata(metadata);
            let _ = limits.expiry(expires_in_minutes);
        }
        Request::CommentGossip { content, request_id, .. } => {
            check_id(&request_id);
            let _ = limits.comment(&content);
        }
        Request::UpdateGossip { reason, request_id, .. } => {
            check_id(&request_id);
            let _ = limits.reason(reason.as_deref());
        }
        Request::Authenticate { token, .. } => assert_eq!(format!("{token:?}"), "Token(…)"),
        Request::LeaveRoom { .. } | Request::VoteGossip { .. } | Request::GetGossip { .. } => {}
    }
}

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (event, json) = text.split_once('\n').unwrap_or((&text, ""));
    let data: Option<&RawValue> = serde_json::from_str(json).ok();
    for event in EVENTS.into_iter().filter(|known| *known != event).chain([event]) {
        match Request::parse(event, data) {
            Ok(request) => check(request),
            Err(refusal) => check_refusal(&refusal, event),
        }
        check_refusal(&refuse_binary(event, data), event);
    }
    match Handshake::parse(data) {
        Ok(handshake) => {
            let needs_token = handshake.recover.is_some() || !handshake.resume.is_empty();
            assert!(!needs_token || handshake.token.is_some());
            let mut rooms: Vec<_> = handshake.resume.iter().map(|(room, _)| room).collect();
            rooms.sort();
            rooms.dedup();
            assert_eq!(rooms.len(), handshake.resume.len(), "a room is one, however it is spelled");
        }
        Err(refusal) => check_refusal(&refusal, "connect"),
    }
});
