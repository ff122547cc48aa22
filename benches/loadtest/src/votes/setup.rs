//! What there must be before anybody votes: intents in a few rooms.

use std::collections::HashSet;
use std::sync::Arc;

use gossip_proto::id::{IntentId, RoomId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Connection, Frame, push_pong, push_text};
use crate::error::Error;

/// In how many rooms the intents are.
const ROOMS: usize = 8;
/// How many posts are under way at once.
const WINDOW: usize = 64;

/// Posts `count` intents.
///
/// # Errors
/// Where one is refused, or the connection breaks.
pub(super) async fn post(connection: &mut Connection, count: usize) -> Result<Arc<[IntentId]>, Error> {
    let rooms: Vec<RoomId> = (0..ROOMS).map(|_| RoomId(Uuid::new_v4())).collect();
    let mut intents = Vec::with_capacity(count);
    let mut sent = 0;
    while intents.len() < count {
        while sent < count && sent - intents.len() < WINDOW {
            let content = format!("Gossip {sent} of a load test: the mayor's cat was seen at the harbour again.");
            let data = json!({"roomId": rooms[sent % ROOMS], "content": content, "expiresInMinutes": 1440});
            let request = json!({"id": sent, "event": "new_gossip", "data": data});
            push_text(&mut connection.out, request.to_string().as_bytes());
            sent += 1;
        }
        connection.flush().await?;
        connection.fill().await?;
        while let Some(frame) = connection.inbound.next()? {
            match frame {
                Frame::Text(text) => intents.push(intent(text)?),
                Frame::Ping(payload) => push_pong(&mut connection.out, payload),
                Frame::Close(reason) => return Err(Error::Setup(String::from_utf8_lossy(reason).into_owned())),
                Frame::Other => {}
            }
        }
    }
    // A server that answers twice with one intent would have fewer to vote on than were asked for.
    if intents.iter().collect::<HashSet<_>>().len() != count {
        return Err(Error::Setup("two posts became one intent".into()));
    }
    Ok(intents.into())
}

fn intent(text: &[u8]) -> Result<IntentId, Error> {
    let answer: Value = serde_json::from_slice(text)?;
    let id = answer["data"]["intent"]["id"].as_str().and_then(|id| id.parse().ok());
    id.ok_or_else(|| Error::Setup(answer.to_string()))
}
