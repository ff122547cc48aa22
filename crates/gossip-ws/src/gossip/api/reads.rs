//! Reads over HTTP (contract §6): what a socket's `list_gossip`, `get_gossip` and `list_updates` answer, and the events of
//! a room from the log. Parameters of the query are read as the members of those events' data.

use gossip_core::access::Identity;
use gossip_hub::Gateway;
use gossip_proto::id::{RoomId, Seq};
use gossip_proto::refusal::Refusal;
use gossip_proto::request;
use hyper::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::super::json;
use super::intent_id;
use super::query::parameter;
use crate::http::{self, Body};

/// Events of a room from the log, in order.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Events<'a> {
    #[schemars(extend("const" = "success"))]
    status: &'static str,
    /// As they were sent live; ask again with the last one's `seq` for those that follow.
    #[schemars(with = "Vec<gossip_proto::model::GossipUpdate<'static>>")]
    events: Vec<&'a RawValue>,
    /// The room's present seq.
    seq: Seq,
    /// Whether the log reaches back to `since`; there are no events where not.
    recovered: bool,
}

pub(super) async fn gossip(
    gateway: &Gateway,
    identity: &Identity,
    room: &str,
    query: Option<&str>,
) -> Result<Response<Body>, Refusal> {
    let data = data(("roomId", room), query, &["limit", "before", "status"])?;
    answer(gateway, identity, "list_gossip", data).await
}

pub(super) async fn intent(gateway: &Gateway, identity: &Identity, intent: &str) -> Result<Response<Body>, Refusal> {
    intent_id(intent)?;
    answer(gateway, identity, "get_gossip", data(("intentId", intent), None, &[])?).await
}

pub(super) async fn updates(
    gateway: &Gateway,
    identity: &Identity,
    intent: &str,
    query: Option<&str>,
) -> Result<Response<Body>, Refusal> {
    let data = data(("intentId", intent), query, &["limit", "before"])?;
    answer(gateway, identity, "list_updates", data).await
}

pub(super) async fn events(
    gateway: &Gateway,
    identity: &Identity,
    room: RoomId,
    query: Option<&str>,
) -> Result<Response<Body>, Refusal> {
    let found = gateway.events(identity, room, since(query)?).await?;
    let events = found.events.iter().map(|event| serde_json::from_str(event));
    let events = events.collect::<Result<Vec<&RawValue>, _>>().map_err(|error| {
        tracing::error!(%error, %room, "an event of the log is no JSON");
        Refusal::new(gossip_proto::refusal::Code::Internal, "the log could not be read")
    })?;
    let body = Events { status: "success", events, seq: found.seq, recovered: found.recovered };
    Ok(http::json(StatusCode::OK, json(&body)))
}

/// `since`.
pub(super) fn since(query: Option<&str>) -> Result<Option<Seq>, Refusal> {
    let wrong = |_| Refusal::invalid("since", "must be a whole number, not negative");
    parameter(query, "since")?.map(|text| text.parse().map(Seq).map_err(wrong)).transpose()
}

/// Data as a socket would send it: the id of the path, and of the query what there is of `names`.
fn data(id: (&str, &str), query: Option<&str>, names: &[&'static str]) -> Result<Box<RawValue>, Refusal> {
    let mut data = Map::from_iter([(id.0.to_owned(), Value::from(id.1))]);
    for &name in names {
        if let Some(text) = parameter(query, name)? {
            let value = match text.parse::<u64>() {
                Ok(number) if name == "limit" => Value::from(number),
                _ => Value::from(text),
            };
            data.insert(name.to_owned(), value);
        }
    }
    to_raw_value(&data).map_err(|error| Refusal::invalid("data", error.to_string()))
}

async fn answer(
    gateway: &Gateway,
    identity: &Identity,
    event: &str,
    data: Box<RawValue>,
) -> Result<Response<Body>, Refusal> {
    let request = request::Request::parse(event, Some(&data))?;
    let reply = gateway.read(identity, request).await?;
    Ok(http::json(StatusCode::OK, json(&reply)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_data() {
        let names = ["limit", "before", "status"];
        let data = |query| data(("roomId", "r"), query, &names).unwrap().get().to_owned();
        assert_eq!(data(None), r#"{"roomId":"r"}"#);
        assert_eq!(
            data(Some("limit=5&status=pending&roomId=x&before=7")),
            r#"{"before":"7","limit":5,"roomId":"r","status":"pending"}"#
        );
        assert_eq!(data(Some("limit=-5")), r#"{"limit":"-5","roomId":"r"}"#);
        assert_eq!(since(Some("since=7")).unwrap(), Some(Seq(7)));
        for query in ["since=", "since=-1", "since=1.5", "since=99999999999999999999"] {
            assert_eq!(since(Some(query)).unwrap_err().field, Some("since"), "{query}");
        }
    }
}
