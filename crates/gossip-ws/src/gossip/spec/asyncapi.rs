//! The AsyncAPI document: what clients and server send each other, through Socket.IO and through the plain WebSocket.
//! The words are the server's own, as AsyncAPI has them: it *receives* a client's events, and *sends* its own.

use gossip_proto::model::GossipUpdate;
use gossip_proto::notice::{Resumed, RoomClosed, ServerDraining};
use gossip_proto::refusal::{Exception, Refusal};
use gossip_proto::request::Handshake;
use serde_json::{Map, Value, json};

use super::schemas::{Schemas, reference};

/// The schema of the answer to an event, one of `gossip_proto::reply::Reply`; none for an event that there is not.
fn answer(event: &str) -> Option<&'static str> {
    Some(match event {
        "authenticate" => "Authenticated",
        "join_room" => "Joined",
        "leave_room" => "Left",
        "new_gossip" | "update_gossip" | "vote_gossip" => "IntentReply",
        "comment_gossip" => "UpdateReply",
        "list_gossip" => "IntentPage",
        "get_gossip" => "OneIntent",
        "list_updates" => "UpdatePage",
        _ => return None,
    })
}

/// What the server sends of itself: name, schema and when.
fn notices(schemas: &mut Schemas) -> [(&'static str, Value, &'static str); 5] {
    [
        (GossipUpdate::NAME, schemas.sent::<GossipUpdate<'static>>(), "Something happened in a room one is in."),
        (
            Exception::NAME,
            schemas.sent::<Exception<'static>>(),
            "An event without an ack failed, or the token expired.",
        ),
        (RoomClosed::NAME, schemas.sent::<RoomClosed>(), "Access to a room was withdrawn, or refused on resume."),
        (Resumed::NAME, schemas.sent::<Resumed>(), "After a handshake with `resume`: what became of its rooms."),
        (ServerDraining::NAME, schemas.sent::<ServerDraining>(), "The server ends: come back after that time."),
    ]
}

/// One way in: how its messages are wrapped.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// An event's one argument is its data, an ack's its answer.
    SocketIo,
    /// `{event, data, id?}` in, `{id, data}` and `{event, data}` out.
    Plain,
}

impl Way {
    const ALL: [Way; 2] = [Way::SocketIo, Way::Plain];

    fn channel(self) -> &'static str {
        match self {
            Way::SocketIo => "gossip",
            Way::Plain => "plain",
        }
    }

    /// Operations need names of their own.
    fn operation(self, event: &str) -> String {
        match self {
            Way::SocketIo => event.to_owned(),
            Way::Plain => format!("plain_{event}"),
        }
    }

    fn event(self, name: &str, data: Value, has_id: bool) -> Value {
        if self == Way::SocketIo {
            return data;
        }
        let mut frame = json!({
            "type": "object",
            "required": ["event", "data"],
            "properties": { "event": { "type": "string", "const": name }, "data": data },
        });
        if has_id {
            frame["properties"]["id"] = id("The answer carries it; there is none without.");
        }
        frame
    }

    fn answer(self, body: Value) -> Value {
        match self {
            Way::SocketIo => body,
            Way::Plain => json!({
                "type": "object",
                "required": ["id", "data"],
                "properties": { "id": id("That of the frame that is answered."), "data": body },
            }),
        }
    }
}

fn id(description: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": description })
}

pub(super) fn document() -> Value {
    let mut schemas = Schemas::new();
    let events = schemas.events();
    let answers: Vec<&str> = events.iter().filter_map(|event| answer(&event.name)).collect();
    for title in &answers {
        schemas.reply(title);
    }
    let refusal = schemas.sent::<Refusal>();
    let notices = notices(&mut schemas);
    let handshake = schemas.read::<Handshake>();

    let mut operations = Map::new();
    let mut messages: [Map<String, Value>; 2] = Default::default();
    for (way, messages) in Way::ALL.into_iter().zip(&mut messages) {
        let channel = json!({ "$ref": format!("#/channels/{}", way.channel()) });
        let message = |name: &str| json!({ "$ref": format!("#/channels/{}/messages/{name}", way.channel()) });
        for event in &events {
            let payload = way.event(&event.name, reference(&event.data), true);
            messages.insert(
                event.name.clone(),
                json!({ "name": event.name, "summary": event.summary, "payload": payload }),
            );
            let replies: Vec<Value> = answer(&event.name).into_iter().chain(["Refusal"]).map(message).collect();
            let operation = json!({
                "action": "receive",
                "channel": channel,
                "summary": event.summary,
                "messages": [message(&event.name)],
                "reply": { "channel": channel, "messages": replies },
            });
            operations.insert(way.operation(&event.name), operation);
        }
        for title in &answers {
            messages.insert((*title).to_owned(), json!({ "name": title, "payload": way.answer(reference(title)) }));
        }
        messages.insert("Refusal".to_owned(), json!({ "name": "Refusal", "payload": way.answer(refusal.clone()) }));
        for (name, payload, summary) in &notices {
            let payload = way.event(name, payload.clone(), false);
            messages.insert((*name).to_owned(), json!({ "name": name, "summary": summary, "payload": payload }));
            let operation = json!({
                "action": "send",
                "channel": channel,
                "summary": summary,
                "messages": [message(name)],
            });
            operations.insert(way.operation(name), operation);
        }
    }
    let [gossip, plain] = messages;
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "gossipd",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Real-time feeds of gossip. Beside the events here, a client receives those that other \
                services broadcast (`/v1/openapi.json`), under names and with data of theirs.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": {
            "socketio": {
                "host": "localhost:3000",
                "pathname": "/socket.io/",
                "protocol": "ws",
                "description": "Engine.IO v4 and Socket.IO v5, also by long polling. Every event may carry an ack callback; \
                    without one, a failure is sent as `exception`.",
            },
            "plain": {
                "host": "localhost:3000",
                "pathname": "/gossip/ws",
                "protocol": "ws",
                "description": "A WebSocket with one JSON text to a frame.",
                "security": [{ "$ref": "#/components/securitySchemes/token" }],
            },
        },
        "channels": {
            "gossip": {
                "address": "/gossip",
                "title": "Socket.IO's namespace",
                "servers": [{ "$ref": "#/servers/socketio" }],
                "messages": gossip,
                "x-handshake-auth": handshake,
            },
            "plain": {
                "address": "/gossip/ws",
                "title": "The plain WebSocket",
                "servers": [{ "$ref": "#/servers/plain" }],
                "messages": plain,
            },
        },
        "operations": operations,
        "components": {
            "schemas": schemas.finish(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "Or the event `authenticate`, within `AUTH_TIMEOUT`.",
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_its_answer() {
        for event in Schemas::new().events() {
            assert!(answer(&event.name).is_some(), "{}", event.name);
        }
        assert_eq!(answer("gossip"), None);
    }

    #[test]
    fn both_ways_have_the_same_events() {
        let document = document();
        let operations = document["operations"].as_object().unwrap();
        let (plain, gossip): (Vec<&str>, Vec<&str>) =
            operations.keys().map(String::as_str).partition(|name| name.starts_with("plain_"));
        assert!(plain.iter().map(|name| &name["plain_".len()..]).eq(gossip.iter().copied()));
        assert_eq!(document["channels"]["gossip"]["messages"]["join_room"]["payload"], reference("JoinRoom"));
        let frame = &document["channels"]["plain"]["messages"]["join_room"]["payload"]["properties"];
        assert_eq!((&frame["event"]["const"], &frame["data"]), (&json!("join_room"), &reference("JoinRoom")));
        assert_eq!(document["operations"]["list_updates"]["reply"]["messages"].as_array().unwrap().len(), 2);
    }
}
