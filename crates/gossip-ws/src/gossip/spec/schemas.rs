//! JSON Schema of the types, collected for one document. A type that is read and one that is sent differ: what may be
//! left out of the one is always in the other, so there is a generator for each.

use gossip_proto::reply::Reply;
use gossip_proto::request::Request;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// An event of a client: its name, the name of its data's schema, and what it is for.
pub(super) struct ClientEvent {
    pub(super) name: String,
    pub(super) data: String,
    pub(super) summary: String,
}

pub(super) struct Schemas {
    read: SchemaGenerator,
    sent: SchemaGenerator,
    named: Map<String, Value>,
}

impl Schemas {
    pub(super) fn new() -> Schemas {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        let (read, sent) = (settings(), settings().for_serialize());
        Schemas { read: read.into_generator(), sent: sent.into_generator(), named: Map::new() }
    }

    /// Of what clients send.
    pub(super) fn read<T: JsonSchema>(&mut self) -> Value {
        self.read.subschema_for::<T>().to_value()
    }

    /// Of what clients are sent.
    pub(super) fn sent<T: JsonSchema>(&mut self) -> Value {
        self.sent.subschema_for::<T>().to_value()
    }

    /// The answer with this title, one of [`Reply`].
    pub(super) fn reply(&mut self, title: &str) -> Value {
        let all = Reply::json_schema(&mut self.sent).to_value();
        let found = variants(all).into_iter().find(|variant| variant["title"] == title);
        let mut schema = found.unwrap_or_default();
        schema.as_object_mut().map(|schema| schema.remove("title"));
        if let Some(Value::String(events)) = schema.get_mut("description") {
            events.insert_str(0, "The answer to ");
        }
        self.named.insert(title.to_owned(), schema);
        reference(title)
    }

    /// The members of an event's data, each with its schema, as parameters: what is `null` there is left out here.
    pub(super) fn members(&mut self, event: &str) -> Map<String, Value> {
        // What they refer to is among what is sent: nothing of the other events is to be named.
        let all = Request::json_schema(&mut self.read.clone()).to_value();
        let found = variants(all).into_iter().find(|variant| name(variant) == Some(event));
        let members = found.and_then(|variant| variant["properties"]["data"]["properties"].as_object().cloned());
        members.unwrap_or_default().into_iter().map(|(name, schema)| (name, without_null(schema))).collect()
    }

    /// Every event of a client's, with the schema of its data.
    pub(super) fn events(&mut self) -> Vec<ClientEvent> {
        let all = Request::json_schema(&mut self.read).to_value();
        let event = |variant: Value| {
            let name = name(&variant)?.to_owned();
            let described = clean(variant["description"].as_str()?);
            let summary = described.split_once(": ").map_or(&*described, |(_, summary)| summary);
            let summary = capitalised(summary.trim_end_matches('.'));
            let data: String = name.split('_').map(capitalised).collect();
            let mut schema = variant["properties"]["data"].clone();
            schema["description"] = format!("The data of `{name}`.").into();
            self.named.insert(data.clone(), schema);
            Some(ClientEvent { name, data, summary })
        };
        variants(all).into_iter().filter_map(event).collect()
    }

    /// All that was named, for `components/schemas`.
    pub(super) fn finish(mut self) -> Value {
        let (mut read, mut sent) = (self.read.take_definitions(true), self.sent.take_definitions(true));
        self.named.append(&mut read);
        self.named.append(&mut sent);
        let mut schemas = Value::Object(self.named);
        tidy(&mut schemas);
        schemas
    }
}

/// The schema of this name.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn variants(mut of: Value) -> Vec<Value> {
    match of["oneOf"].take() {
        Value::Array(variants) => variants,
        _ => Vec::new(),
    }
}

/// The event that a variant of [`Request`] is.
fn name(variant: &Value) -> Option<&str> {
    variant["properties"]["event"]["const"].as_str()
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

fn without_null(mut schema: Value) -> Value {
    let is_null = |schema: &Value| *schema == "null" || schema["type"] == "null";
    if let Some(types) = schema["type"].as_array_mut() {
        types.retain(|name| !is_null(name));
        if let [only] = &types[..] {
            schema["type"] = only.clone();
        }
    }
    if let Some(any) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        any.retain(|schema| !is_null(schema));
        if let [only] = &any[..] {
            let only = only.clone();
            return only;
        }
    }
    tidy(&mut schema);
    schema
}

/// Takes from descriptions what is for those who read the sources, and formats that no other program knows.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = clean(text);
            }
            if matches!(members.get("format"), Some(format) if format == "uint64" || format == "uint") {
                members.remove("format");
            }
            members.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A description without the section of the contract that it is from.
fn clean(text: &str) -> String {
    let mut text = text.replace('\n', " ");
    while let Some(start) = text.find(" (contract ") {
        let Some(length) = text[start..].find(')') else { break };
        text.replace_range(start..=start + length, "");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_a_name_that_is_known() {
        let mut schemas = Schemas::new();
        let data = serde_json::value::RawValue::from_string("{}".to_owned()).unwrap();
        let names: Vec<String> = schemas.events().into_iter().map(|event| event.name).collect();
        assert!(!names.is_empty());
        for name in names {
            let refused = Request::parse(&name, Some(&data)).unwrap_err();
            // Each needs some member, and that is one of its schema.
            let members = schemas.members(&name);
            assert!(members.contains_key(refused.field.unwrap()), "{name}: {refused:?} {members:?}");
        }
    }

    #[test]
    fn what_is_read_may_lack_what_is_always_sent() {
        let mut schemas = Schemas::new();
        schemas.events();
        let (joined, _intent) = (schemas.reply("Joined"), schemas.sent::<gossip_proto::model::Intent>());
        assert_eq!(joined, reference("Joined"));
        let all = schemas.finish();
        assert_eq!(all["NewGossip"]["required"], json!(["roomId", "content"]));
        assert_eq!(all["Joined"]["required"], json!(["status", "roomId", "seq"]));
        assert_eq!(all["Intent"]["required"].as_array().unwrap().len(), 11);
        assert_eq!(all["ListGossip"]["properties"]["limit"]["maximum"], 100);
        assert_eq!(all["NewGossip"]["properties"]["requestId"]["maxLength"], 64);
    }

    #[test]
    fn a_parameter_is_there_or_not() {
        let members = Schemas::new().members("list_gossip");
        assert_eq!(members["limit"]["type"], "integer");
        assert_eq!(members["before"]["type"], "string");
        assert_eq!(members["status"], reference("Status"));
    }
}
