//! TypeScript from an AsyncAPI document: a type for each schema, and the maps of events that `socket.io-client` takes.
//! Only what our own schemas have is known here; anything else becomes `unknown`.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::{Map, Value};

const HEAD: &str = "\
// Generated from the server's types by `cargo xtask types`. Do not edit.

/** Events without acks, for `Socket<ServerToClientEvents, WithoutAcks<ClientToServerEvents>>`: failures come as `exception`. */
export type WithoutAcks<Events> = {
  [Name in keyof Events]: Events[Name] extends (data: infer Data, ...ack: never[]) => void ? (data: Data) => void : never;
};
";

/// The whole file.
pub(crate) fn types(document: &Value) -> String {
    let mut text = HEAD.to_owned();
    text.push_str(&events(document));
    let mut schemas = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
    if let Some(mut handshake) = inlined(&document["channels"]["gossip"]["x-handshake-auth"], &schemas) {
        handshake["description"] = "The `auth` of a connection: `io(url, { auth })`.".into();
        schemas.insert("Handshake".to_owned(), handshake);
    }
    for (name, schema) in &schemas {
        text.push('\n');
        text.push_str(&named(name, schema));
    }
    text
}

/// The schema that this refers to, or is.
fn inlined(schema: &Value, schemas: &Map<String, Value>) -> Option<Value> {
    match schema["$ref"].as_str() {
        Some(reference) => schemas.get(last(reference)).cloned(),
        None => schema.is_object().then(|| schema.clone()),
    }
}

/// `ClientToServerEvents` and `ServerToClientEvents`.
fn events(document: &Value) -> String {
    let messages = &document["channels"]["gossip"]["messages"];
    let payload =
        |reference: &Value| expression(&messages[last(reference["$ref"].as_str().unwrap_or_default())]["payload"]);
    let (mut received, mut sent) = (String::new(), String::new());
    for operation in document["operations"].as_object().into_iter().flat_map(Map::values) {
        if operation["channel"]["$ref"] != "#/channels/gossip" {
            continue;
        }
        let message = &operation["messages"][0];
        let name = last(message["$ref"].as_str().unwrap_or_default());
        let data = payload(message);
        let out = if operation["action"] == "receive" { &mut received } else { &mut sent };
        comment(out, "  ", &operation["summary"]);
        if operation["action"] == "receive" {
            let answers: Vec<String> =
                operation["reply"]["messages"].as_array().into_iter().flatten().map(payload).collect();
            let answers = answers.join(" | ");
            let _ = writeln!(out, "  {name}: (data: {data}, ack: (answer: {answers}) => void) => void;");
        } else {
            let _ = writeln!(out, "  {name}: (data: {data}) => void;");
        }
    }
    format!(
        "\n/** What a client emits. The `status` of an answer tells whether it is a `Refusal`. */\n\
         export interface ClientToServerEvents {{\n{received}}}\n\n\
         /** What a client is sent, beside events of your own: add those by declaring the interface once more. */\n\
         export interface ServerToClientEvents {{\n{sent}}}\n"
    )
}

fn named(name: &str, schema: &Value) -> String {
    let mut out = String::new();
    comment(&mut out, "", &schema["description"]);
    match schema["oneOf"].as_array() {
        Some(variants) => {
            let _ = write!(out, "export type {name} =");
            for variant in variants {
                out.push('\n');
                comment(&mut out, "  ", &variant["description"]);
                let _ = write!(out, "  | {}", expression(variant));
            }
            out.push_str(";\n");
        }
        None if schema["properties"].is_object() => {
            let _ = writeln!(out, "export interface {name} {}", object(schema, ""));
        }
        None => {
            let _ = writeln!(out, "export type {name} = {};", expression(schema));
        }
    }
    out
}

/// A type where one is used.
fn expression(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return last(reference).to_owned();
    }
    if let Some(value) = schema.get("const") {
        return literal(value);
    }
    let any = ["enum", "oneOf", "anyOf"].iter().find_map(|key| Some((*key, schema[*key].as_array()?)));
    if let Some((key, variants)) = any {
        return union(
            variants.iter().map(|variant| if key == "enum" { literal(variant) } else { expression(variant) }),
        );
    }
    match &schema["type"] {
        Value::String(kind) => of_kind(kind, schema),
        Value::Array(kinds) => union(kinds.iter().filter_map(Value::as_str).map(|kind| of_kind(kind, schema))),
        _ => "unknown".to_owned(),
    }
}

fn of_kind(kind: &str, schema: &Value) -> String {
    match kind {
        "string" => "string".to_owned(),
        "integer" | "number" => "number".to_owned(),
        "boolean" => "boolean".to_owned(),
        "null" => "null".to_owned(),
        "array" => format!("Array<{}>", expression(&schema["items"])),
        "object" if schema["properties"].is_object() => object(schema, "  "),
        "object" => format!("Record<string, {}>", expression(&schema["additionalProperties"])),
        _ => "unknown".to_owned(),
    }
}

/// An object's members: first those that are always there, in the order of the Rust type.
fn object(schema: &Value, indent: &str) -> String {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let known: HashSet<&str> = required.iter().copied().collect();
    let members = schema["properties"].as_object();
    let others = members.into_iter().flat_map(Map::keys).map(String::as_str).filter(|name| !known.contains(name));
    let mut out = String::from("{\n");
    for name in required.iter().copied().chain(others) {
        let member = &schema["properties"][name];
        let inner = format!("{indent}  ");
        comment(&mut out, &inner, &member["description"]);
        let mark = if known.contains(name) { "" } else { "?" };
        let _ = writeln!(out, "{inner}{name}{mark}: {};", expression(member));
    }
    out + indent + "}"
}

fn union(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(" | ")
}

fn literal(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), |text| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")))
}

fn comment(out: &mut String, indent: &str, text: &Value) {
    if let Some(text) = text.as_str() {
        let _ = writeln!(out, "{indent}/** {} */", text.replace("*/", "* /"));
    }
}

fn last(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_become_types() {
        for (schema, wanted) in [
            (json!({ "type": "string", "format": "uuid" }), "string"),
            (json!({ "type": ["integer", "null"], "minimum": 0 }), "number | null"),
            (json!({ "const": "it's" }), r"'it\'s'"),
            (json!({ "$ref": "#/components/schemas/Intent" }), "Intent"),
            (json!({ "anyOf": [{ "$ref": "#/a/Vote" }, { "type": "null" }] }), "Vote | null"),
            (json!({ "type": ["object", "null"], "additionalProperties": true }), "Record<string, unknown> | null"),
            (json!({ "type": "array", "items": { "enum": ["a", "b"] } }), "Array<'a' | 'b'>"),
            (json!({}), "unknown"),
        ] {
            assert_eq!(expression(&schema), wanted, "{schema}");
        }
    }

    #[test]
    fn what_may_be_left_out_comes_last() {
        let schema = json!({
            "description": "A thing.",
            "type": "object",
            "required": ["z", "b"],
            "properties": {
                "a": { "type": "number" },
                "b": { "type": "object", "properties": { "x": { "type": "null" } } },
                "z": { "type": "string", "description": "The last." },
            },
        });
        assert_eq!(
            named("Thing", &schema),
            "/** A thing. */\nexport interface Thing {\n  /** The last. */\n  z: string;\n  b: {\n    x?: null;\n  };\n  a?: number;\n}\n"
        );
        let words = json!({ "oneOf": [{ "const": "on", "description": "Yes." }, { "const": "off" }] });
        assert_eq!(named("Switch", &words), "export type Switch =\n  /** Yes. */\n  | 'on'\n  | 'off';\n");
    }

    #[test]
    fn events_have_data_and_answers() {
        let message = |name: &str| json!({ "$ref": format!("#/channels/gossip/messages/{name}") });
        let payload = |name: &str| json!({ "payload": { "$ref": format!("#/components/schemas/{name}") } });
        let channel = json!({ "$ref": "#/channels/gossip" });
        let document = json!({
            "channels": { "gossip": { "messages": {
                "ask": payload("Ask"), "Told": payload("Told"), "Refusal": payload("Refusal"), "news": payload("News"),
            } } },
            "operations": {
                "ask": {
                    "action": "receive", "channel": channel, "messages": [message("ask")],
                    "reply": { "messages": [message("Told"), message("Refusal")] },
                },
                "news": { "action": "send", "channel": channel, "messages": [message("news")], "summary": "News." },
                "plain_ask": { "action": "receive", "channel": { "$ref": "#/channels/plain" }, "messages": [message("ask")] },
            },
        });
        let text = types(&document);
        assert!(text.contains("{\n  ask: (data: Ask, ack: (answer: Told | Refusal) => void) => void;\n}"), "{text}");
        assert!(text.contains("{\n  /** News. */\n  news: (data: News) => void;\n}"), "{text}");
    }
}
