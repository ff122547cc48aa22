//! The OpenAPI document: each route of the API with its parameters, bodies and statuses, and the daemon's own paths.
//! Schemas are those of the types; what is written here is what a type does not say.

use gossip_hub::ConnectionStats;
use gossip_proto::id::{RoomId, Seq, UserId};
use gossip_proto::refusal::Refusal;
use gossip_proto::timestamp::Timestamp;
use hyper::Method;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::super::api::{Broadcast, Events, MAX_MEMBERS, Members, Route};
use super::schemas::Schemas;
use super::{ASYNCAPI_PATH, OPENAPI_PATH};

/// Statuses that any route may answer with, beside its own.
const ALWAYS: [u16; 7] = [401, 405, 408, 413, 429, 500, 503];

/// What is done at a path by one method.
struct Operation {
    method: Method,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    success: (u16, Value),
    /// Beside [`ALWAYS`].
    refusals: &'static [u16],
}

pub(super) fn document() -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    let mut route = Route::after(None);
    while let Some(this) = route {
        let (path, operations) = operations(this, &mut schemas);
        let operations = operations.into_iter().map(Operation::described);
        paths.insert(path.to_owned(), Value::Object(operations.collect()));
        route = Route::after(route);
    }
    for (path, item) in own() {
        paths.insert(path.to_owned(), item);
    }
    let responses = responses(&schemas.sent::<Refusal>());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "gossipd",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Real-time feeds of gossip: reads, server-side broadcasting, membership and figures.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": [
            { "name": "reads", "description": "For who has access to the room; role `service` and `admin` have it to every room." },
            { "name": "broadcasts", "description": "Events of other services, passed on as they are. Role `service` or `admin`." },
            { "name": "access", "description": "Members of rooms, and the end of connections. Role `service` or `admin`." },
            { "name": "operating", "description": "The server's own state." },
        ],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas.finish(),
            "responses": responses,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            },
        },
    })
}

impl Operation {
    fn get(id: &'static str, summary: &'static str, answer: &Value) -> Operation {
        Operation {
            method: Method::GET,
            id,
            tag: "reads",
            summary,
            parameters: Vec::new(),
            body: None,
            success: (200, json!({ "description": "Found.", "content": content(answer) })),
            refusals: &[],
        }
    }

    fn broadcast(id: &'static str, summary: &'static str, schemas: &mut Schemas) -> Operation {
        let body = content(&schemas.read::<Broadcast<'static>>());
        let done = json!({
            "type": "object",
            "required": ["status"],
            "properties": { "status": { "type": "string", "const": "success" } },
        });
        let description = "It is on its way; who is not connected does not get it.";
        Operation {
            method: Method::POST,
            tag: "broadcasts",
            body: Some(json!({ "required": true, "content": body })),
            success: (202, json!({ "description": description, "content": content(&done) })),
            refusals: &[400, 403],
            ..Operation::get(id, summary, &Value::Null)
        }
    }

    fn change(method: Method, id: &'static str, summary: &'static str) -> Operation {
        Operation {
            method,
            tag: "access",
            success: (204, json!({ "description": "Done, or it was so already." })),
            refusals: &[400, 403],
            ..Operation::get(id, summary, &Value::Null)
        }
    }

    fn with(mut self, parameter: Value) -> Operation {
        self.parameters.push(parameter);
        self
    }

    fn described(self) -> (String, Value) {
        let mut responses = Map::from_iter([(self.success.0.to_string(), self.success.1)]);
        for status in self.refusals.iter().chain(&ALWAYS) {
            responses.insert(status.to_string(), json!({ "$ref": format!("#/components/responses/{status}") }));
        }
        let mut operation = json!({
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "responses": responses,
        });
        if !self.parameters.is_empty() {
            operation["parameters"] = self.parameters.into();
        }
        if let Some(body) = self.body {
            operation["requestBody"] = body;
        }
        (self.method.as_str().to_ascii_lowercase(), operation)
    }
}

/// A route's path and what is done there.
fn operations(route: Route<'_>, schemas: &mut Schemas) -> (&'static str, Vec<Operation>) {
    match route {
        Route::Stats => {
            let operation =
                Operation::get("stats", "Connections, rates and latencies", &schemas.sent::<ConnectionStats>());
            ("/v1/stats", vec![Operation { tag: "operating", refusals: &[403], ..operation }])
        }
        Route::Gossip { .. } => {
            let answer = schemas.reply("IntentPage");
            let mut operation = Operation::get("listGossip", "A page of a room's intents, newest first", &answer)
                .with(path::<RoomId>("roomId", schemas));
            operation.parameters.extend(paging("list_gossip", schemas));
            let status = schemas.members("list_gossip").remove("status").unwrap_or_default();
            let operation = operation.with(query("status", "Only intents of this status.", status));
            ("/v1/rooms/{roomId}/gossip", vec![Operation { refusals: &[400, 403], ..operation }])
        }
        Route::Events { .. } => {
            let mut operation = Operation::get("events", EVENTS, &schemas.sent::<Events<'static>>())
                .with(path::<RoomId>("roomId", schemas))
                .with(query("since", "The `seq` of the last event that one has.", schemas.read::<Seq>()))
                .with(json!({
                    "name": "Last-Event-ID",
                    "in": "header",
                    "description": "As `since`, which it comes before; a stream alone looks at it.",
                    "schema": { "type": "string" },
                }));
            operation.success.1["content"]["text/event-stream"] = json!({ "schema": {
                "type": "string",
                "description": "`id:` is the seq, `event:` the name, `data:` the payload, as sockets are sent them. Events \
                    of other services come without `id:`; `room_closed` ends it.",
            } });
            ("/v1/rooms/{roomId}/events", vec![Operation { refusals: &[400, 403], ..operation }])
        }
        Route::Intent { .. } => {
            let operation =
                Operation::get("getGossip", "One intent, and the asking user's vote", &schemas.reply("OneIntent"))
                    .with(path::<gossip_proto::id::IntentId>("intentId", schemas));
            ("/v1/gossip/{intentId}", vec![Operation { refusals: &[400, 404], ..operation }])
        }
        Route::Updates { .. } => {
            let answer = schemas.reply("UpdatePage");
            let mut operation = Operation::get("listUpdates", UPDATES, &answer)
                .with(path::<gossip_proto::id::IntentId>("intentId", schemas));
            operation.parameters.extend(paging("list_updates", schemas));
            ("/v1/gossip/{intentId}/updates", vec![Operation { refusals: &[400, 404], ..operation }])
        }
        Route::Broadcast => {
            ("/v1/broadcast", vec![Operation::broadcast("broadcastToAll", "Sends an event to everybody", schemas)])
        }
        Route::RoomBroadcast { .. } => {
            let operation = Operation::broadcast("broadcastToRoom", "Sends an event to a room", schemas);
            ("/v1/rooms/{roomId}/broadcast", vec![operation.with(path::<RoomId>("roomId", schemas))])
        }
        Route::UserBroadcast { .. } => {
            let operation = Operation::broadcast("broadcastToUser", "Sends an event to a user's connections", schemas);
            ("/v1/users/{userId}/broadcast", vec![operation.with(path::<UserId>("userId", schemas))])
        }
        Route::Members { .. } => {
            let limit = json!({ "type": "integer", "minimum": 1, "maximum": MAX_MEMBERS, "default": MAX_MEMBERS });
            let operation = Operation::get("members", "A page of a room's members", &schemas.sent::<Members>())
                .with(path::<RoomId>("roomId", schemas))
                .with(query("after", "The `nextAfter` of the page before.", schemas.read::<UserId>()))
                .with(query("limit", "How many at most.", limit));
            ("/v1/rooms/{roomId}/members", vec![Operation { tag: "access", refusals: &[400, 403], ..operation }])
        }
        Route::Member { .. } => {
            let change = |method, id, summary, schemas: &mut Schemas| {
                Operation::change(method, id, summary)
                    .with(path::<RoomId>("roomId", schemas))
                    .with(path::<UserId>("userId", schemas))
            };
            let put = change(Method::PUT, "addMember", "Makes a user a member", schemas);
            let delete =
                change(Method::DELETE, "removeMember", "Ends a membership, and live subscriptions with it", schemas);
            ("/v1/rooms/{roomId}/members/{userId}", vec![put, delete])
        }
        Route::Connections { .. } => {
            let mut time = schemas.read::<Timestamp>();
            // Any offset is read.
            time.as_object_mut().map(|schema| schema.remove("pattern"));
            let operation = Operation::change(Method::DELETE, "disconnectUser", "Ends a user's connections and tokens")
                .with(path::<UserId>("userId", schemas))
                .with(query(
                    "notBefore",
                    "Tokens issued before it are refused from now on; now if it is not given.",
                    time,
                ));
            ("/v1/users/{userId}/connections", vec![operation])
        }
    }
}

const EVENTS: &str = "A room's events, as JSON or, with `Accept: text/event-stream`, live";
const UPDATES: &str = "A page of what happened to an intent, newest first; votes for services and admins alone";

fn path<T: JsonSchema>(name: &str, schemas: &mut Schemas) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": schemas.read::<T>() })
}

fn query(name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "description": description, "schema": schema })
}

/// `limit` and `before`, as the event of the same meaning has them.
fn paging(event: &str, schemas: &mut Schemas) -> Vec<Value> {
    let mut members = schemas.members(event);
    let parameter = |(name, description)| {
        let mut schema = members.remove(name).unwrap_or_default();
        schema.as_object_mut().map(|schema| schema.remove("description"));
        query(name, description, schema)
    };
    [("limit", "How many at most."), ("before", "The `nextBefore` of the page before.")].map(parameter).into()
}

fn content(schema: &Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

/// What refusals have in common, by status.
fn responses(refusal: &Value) -> Value {
    let refused = |description: &str| json!({ "description": description, "content": content(refusal) });
    let mut later = refused("`rate_limited`: try again after the time that is given.");
    let retry_after = json!({ "Retry-After": {
        "description": "Seconds to wait before another try.",
        "schema": { "type": "integer", "minimum": 0 },
    } });
    let mut unavailable =
        refused("`unavailable`: the store does not answer, or the server ends. `unresolved`: repeat it.");
    later["headers"] = retry_after.clone();
    unavailable["headers"] = retry_after;
    json!({
        "400": refused("`invalid_input`: `field` names the parameter or the body's member at fault."),
        "401": refused("`not_authenticated`, `invalid_token` or `token_expired`."),
        "403": refused("`forbidden`: no access to the room, or the role does not suffice."),
        "404": refused("`not_found`: there is none, or none in a room that one has access to."),
        "405": not_allowed(),
        "408": { "description": "The body did not come in time." },
        "413": refused("`too_large`: the body has more bytes than `MAX_PAYLOAD`."),
        "429": later,
        "500": refused("`internal`: a fault of the server's own."),
        "503": unavailable,
    })
}

fn not_allowed() -> Value {
    let allow = json!({ "description": "The methods that are.", "schema": { "type": "string" } });
    json!({ "description": "The method is not allowed there.", "headers": { "Allow": allow } })
}

/// The daemon's own paths, which need no token.
fn own() -> Vec<(&'static str, Value)> {
    let text = |description: &str, media: &str| json!({ "description": description, "content": { media: { "schema": { "type": "string" } } } });
    let get = |id: &str, summary: &str, mut responses: Value| {
        responses["405"] = json!({ "$ref": "#/components/responses/405" });
        json!({ "get": {
            "operationId": id,
            "tags": ["operating"],
            "summary": summary,
            "security": [],
            "responses": responses,
        } })
    };
    let document = |id: &str, summary: &str| {
        let found = json!({ "description": "The document.", "content": content(&json!({ "type": "object" })) });
        get(id, summary, json!({ "200": found, "304": { "description": "It has not changed (`If-None-Match`)." } }))
    };
    vec![
        ("/healthz", get("health", "Whether the process lives", json!({ "200": text("It does.", "text/plain") }))),
        (
            "/readyz",
            get(
                "readiness",
                "Whether it can serve",
                json!({
                    "200": text("It can.", "text/plain"),
                    "503": text("The store does not answer, or the server ends.", "text/plain"),
                }),
            ),
        ),
        (
            "/metrics",
            get("metrics", "Figures for Prometheus", json!({ "200": text("Prometheus' text format.", "text/plain") })),
        ),
        (OPENAPI_PATH, document("openapi", "This document")),
        (ASYNCAPI_PATH, document("asyncapi", "The events of sockets, as an AsyncAPI document")),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::super::api;
    use super::*;

    #[test]
    fn every_route_is_described_with_its_methods() {
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        let mut route = Route::after(None);
        let mut found = 0;
        while let Some(this) = route {
            let (path, _) = operations(this, &mut Schemas::new());
            let routed = api::route(path).unwrap();
            assert_eq!(std::mem::discriminant(&routed), std::mem::discriminant(&this), "{path}");
            // Whoever may get may ask for the head.
            let mut allowed: Vec<String> =
                this.methods().split(", ").filter(|method| *method != "HEAD").map(str::to_ascii_lowercase).collect();
            allowed.sort_unstable();
            assert!(paths[path].as_object().unwrap().keys().eq(&allowed), "{path}");
            found += 1;
            route = Route::after(route);
        }
        assert_eq!(found + own().len(), paths.len());
    }

    #[test]
    fn parameters_of_a_path_are_those_that_stand_in_it() {
        for (path, item) in document()["paths"].as_object().unwrap() {
            let named: Vec<&str> =
                path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
            for (method, operation) in item.as_object().unwrap() {
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let found = parameters.filter(|one| one["in"] == "path").map(|one| one["name"].as_str().unwrap());
                assert!(found.eq(named.iter().copied()), "{method} {path}");
            }
        }
    }

    #[test]
    fn operations_are_told_apart() {
        let document = document();
        let items = document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
        let mut ids: Vec<&str> = items.map(|operation| operation["operationId"].as_str().unwrap()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
    }
}
