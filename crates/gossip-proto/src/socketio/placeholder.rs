//! Finds `{"_placeholder":true,"num":n}` in JSON text and checks where `n` points. It reads text that is known to be
//! JSON; on other text it gives some answer, and never fails.

/// The value of an object's member, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    True,
    /// A number that is the index of an attachment.
    Index,
    Other,
}

/// The member whose value comes next.
#[derive(Clone, Copy)]
enum Member {
    Placeholder,
    Num,
    Other,
}

/// One open array or object: a byte, so that the deepest input costs no more than its own size.
#[derive(Clone, Copy)]
struct Open(u8);

impl Open {
    const ARRAY: Open = Open(0);
    const OBJECT: Open = Open(1);
    const MARKED: u8 = 2;
    const INDEXED: u8 = 4;

    fn is_object(self) -> bool {
        self.0 & Open::OBJECT.0 != 0
    }

    /// Of a repeated member the last counts, as in `JSON.parse`.
    fn note(&mut self, member: Member, value: Value) {
        let (flag, on) = match member {
            Member::Placeholder => (Open::MARKED, value == Value::True),
            Member::Num => (Open::INDEXED, value == Value::Index),
            Member::Other => return,
        };
        self.0 = if on { self.0 | flag } else { self.0 & !flag };
    }

    fn is_dangling(self) -> bool {
        self.0 & Open::MARKED != 0 && self.0 & Open::INDEXED == 0
    }
}

/// Whether every placeholder in `json` has an integer below `count` as its `num`. What counts as a placeholder is what
/// socket.io-parser replaces: an object whose `_placeholder` is `true`, wherever it is and whatever else it has.
pub(super) fn all_below(json: &str, count: usize) -> bool {
    let bytes = json.as_bytes();
    let mut open: Vec<Open> = Vec::new();
    let mut member = Member::Other;
    let mut key_next = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += 1;
        let value = match byte {
            b'{' | b'[' => Value::Other,
            b'"' => {
                at = string_end(bytes, at);
                if key_next {
                    member = member_named(&bytes[start..at]);
                    continue;
                }
                Value::Other
            }
            b't' => Value::True,
            b'-' | b'0'..=b'9' => {
                at += bytes[at..].iter().take_while(|byte| is_in_number(**byte)).count();
                index(&bytes[start..at], count)
            }
            b'f' | b'n' => Value::Other,
            b'}' | b']' => {
                key_next = false;
                if open.pop().is_some_and(Open::is_dangling) {
                    return false;
                }
                continue;
            }
            b',' => {
                key_next = open.last().is_some_and(|open| open.is_object());
                member = Member::Other;
                continue;
            }
            b':' => {
                key_next = false;
                continue;
            }
            // White space, and the rest of true, false and null.
            _ => continue,
        };
        if let Some(open) = open.last_mut().filter(|open| open.is_object()) {
            open.note(member, value);
            member = Member::Other;
        }
        match byte {
            b'{' => {
                open.push(Open::OBJECT);
                key_next = true;
            }
            b'[' => {
                open.push(Open::ARRAY);
                key_next = false;
            }
            _ => {}
        }
    }
    true
}

/// Where the string ends whose inside begins at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn is_in_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
}

fn index(number: &[u8], count: usize) -> Value {
    let number: Option<usize> = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
    if number.is_some_and(|number| number < count) { Value::Index } else { Value::Other }
}

/// Which member a key names, quotes and escapes included.
fn member_named(key: &[u8]) -> Member {
    /// `_placeholder` with every character as `\uXXXX`, and the quotes.
    const LONGEST: usize = 12 * 6 + 2;
    match key {
        br#""_placeholder""# => Member::Placeholder,
        br#""num""# => Member::Num,
        _ if key.len() <= LONGEST && key.contains(&b'\\') => match serde_json::from_slice::<String>(key).as_deref() {
            Ok("_placeholder") => Member::Placeholder,
            Ok("num") => Member::Num,
            _ => Member::Other,
        },
        _ => Member::Other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::all_below;

    /// What the reference does, by building the tree.
    fn by_tree(json: &Json, count: usize) -> bool {
        match json {
            Json::Array(elements) => elements.iter().all(|element| by_tree(element, count)),
            Json::Object(members) if members.get("_placeholder") == Some(&Json::Bool(true)) => {
                members.get("num").and_then(Json::as_u64).is_some_and(|num| num < count as u64)
                    && members.values().all(|member| by_tree(member, count))
            }
            Json::Object(members) => members.values().all(|member| by_tree(member, count)),
            _ => true,
        }
    }

    fn json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Bool(true)),
            Just(Json::Null),
            (0u64..4).prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            "[a\"\\\\{}:,\\[\\]]{0,6}".prop_map(Json::from),
        ];
        let key = prop_oneof![Just("_placeholder".to_owned()), Just("num".to_owned()), "[a\"\\\\:{]{0,3}"];
        leaf.prop_recursive(5, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
                prop::collection::btree_map(key.clone(), inner, 0..5)
                    .prop_map(|members| Json::Object(members.into_iter().collect())),
                (0u64..4).prop_map(|num| serde_json::json!({"_placeholder": true, "num": num})),
            ]
        })
    }

    #[test]
    fn the_forms_of_a_placeholder() {
        let good = [
            r#"{"_placeholder":true,"num":1}"#,
            r#" { "num" : 0 , "_placeholder" : true } "#,
            r#"{"a":[{"_placeholder":true,"num":0,"more":{"num":9}}]}"#,
            r#"{"_placeholder":false,"num":9}"#,
            r#"{"_placeholder":"true","num":9}"#,
            r#"{"_placeholder":[true],"num":9}"#,
            r#"{"_placeholder":true,"num":9,"num":1}"#,
            r#"{"_placeholder":true,"_placeholder":0,"num":9}"#,
            r#"["_placeholder",true,"num",9]"#,
            r#"{"x":"{\"_placeholder\":true,\"num\":9}"}"#,
            r#"{"\\_placeholder":true}"#,
        ];
        let bad = [
            r#"{"_placeholder":true,"num":2}"#,
            r#"{"_placeholder":true,"num":-1}"#,
            r#"{"_placeholder":true,"num":0.5}"#,
            r#"{"_placeholder":true,"num":99999999999999999999999}"#,
            r#"{"_placeholder":true,"num":"0"}"#,
            r#"{"_placeholder":true,"num":[0]}"#,
            r#"{"_placeholder":true,"num":{"num":0}}"#,
            r#"{"_placeholder":true,"num":null}"#,
            r#"{"_placeholder":true}"#,
            r#"{"_placeholder":true,"num":0,"num":2}"#,
            r#"{"_pl\u0061ceholder":true,"\u006eum":2}"#,
            r#"{"x":[1,{"y":{"num":2,"_placeholder":true}}]}"#,
            r#"{"_placeholder":true,"num":0,"x":{"_placeholder":true,"num":2}}"#,
        ];
        for json in good {
            assert!(all_below(json, 2), "{json}");
        }
        for json in bad {
            assert!(!all_below(json, 2), "{json}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_tree(json in json(), pretty: bool) {
            let text = if pretty { format!("{json:#}") } else { json.to_string() };
            prop_assert_eq!(all_below(&text, 2), by_tree(&json, 2), "{}", text);
        }

        #[test]
        fn any_text_gets_an_answer(text in any::<String>()) {
            all_below(&text, 2);
        }

        #[test]
        fn anything_like_json_gets_an_answer(text in r#"(\{|\}|\[|\]|"|\\|:|,|t|1|-|"num"|"_placeholder"|true){0,40}"#) {
            all_below(&text, 2);
        }
    }
}
