//! The plain protocol by example, and by properties.

use proptest::prelude::*;

use super::*;

#[test]
fn requests() {
    let request = decode(r#" {"event":"join_room","data":{"roomId":"x"},"id":7} "#).unwrap();
    assert_eq!((&*request.event, request.id), ("join_room", Some(7)));
    assert_eq!(request.data.unwrap().get(), r#"{"roomId":"x"}"#);

    let request = decode(r#"{"event":"\u0061"}"#).unwrap();
    assert_eq!((&*request.event, request.id, request.data.is_none()), ("a", None, true));

    let request = decode(r#"{"id":18446744073709551615,"__proto__":{},"event":"b","data":null,"event":"a"}"#).unwrap();
    assert_eq!((&*request.event, request.id), ("a", Some(u64::MAX)));
    assert_eq!(request.data.unwrap().get(), "null");
}

#[test]
fn faults_name_the_member_and_keep_the_id() {
    for (text, field, id) in [
        ("", "data", None),
        ("x", "data", None),
        ("[]", "data", None),
        ("null", "data", None),
        (r#""event""#, "data", None),
        (r#"{"event":"a"} x"#, "data", None),
        (r#"{"event":"a","id":1"#, "data", Some(1)),
        (r#"{"id":1,"event":"a","data":{]}"#, "data", Some(1)),
        ("{}", "event", None),
        (r#"{"id":1}"#, "event", Some(1)),
        (r#"{"event":1,"id":1}"#, "event", Some(1)),
        (r#"{"event":null,"id":1}"#, "event", Some(1)),
        (r#"{"event":"\ud800","id":1}"#, "event", Some(1)),
        (r#"{"event":{"a":[]},"id":"x"}"#, "event", None),
        (r#"{"event":"a","id":-1}"#, "id", None),
        (r#"{"event":"a","id":1.0}"#, "id", None),
        (r#"{"event":"a","id":1e3}"#, "id", None),
        (r#"{"event":"a","id":"1"}"#, "id", None),
        (r#"{"event":"a","id":null}"#, "id", None),
        (r#"{"event":"a","id":18446744073709551616}"#, "id", None),
    ] {
        assert_eq!(decode(text).unwrap_err(), PlainError { field, id }, "{text}");
    }
}

#[test]
fn deep_data_is_only_text() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let request = decode(&format!(r#"{{"x":{deep},"event":"a","data":{deep}}}"#)).unwrap();
    assert_eq!(request.data.unwrap().get(), deep);
}

#[test]
fn answers() {
    assert_eq!(encode_reply(3, r#"{"status":"left"}"#), r#"{"id":3,"data":{"status":"left"}}"#);
    assert_eq!(encode_event("a\"b", "[1]"), r#"{"event":"a\"b","data":[1]}"#);
}

proptest! {
    #[test]
    fn an_event_comes_back(name in any::<String>(), data in any::<String>()) {
        let data = serde_json::to_string(&data).unwrap();
        let request = decode(&encode_event(&name, &data)).unwrap();
        prop_assert_eq!((&*request.event, request.id), (&*name, None));
        let echoed = request.data.unwrap();
        prop_assert_eq!(echoed.get(), data);
    }

    #[test]
    fn any_text_gets_an_answer(text in any::<String>()) {
        let _ = decode(&text);
    }

    #[test]
    fn anything_like_a_request_gets_an_answer(text in r#"(\{|\}|\[|"|:|,|1|-|"id"|"event"|"data"|null|\\u){0,30}"#) {
        let _ = decode(&text);
    }
}
