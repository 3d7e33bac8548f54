//! JSON as bundles hold it: read strictly, written in the canonical form of RFC 8785.
//!
//! Reading refuses what two readers could understand differently: a key that comes twice. Writing gives one value one
//! spelling, so that a digest over it means something.

use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use thiserror::Error;

/// The greatest integer that every JSON reader holds exactly (RFC 8259, section 6): the greatest size of a blob.
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// A text is no JSON that bundles take: not well formed, a repeated key, or nested deeper than 128 levels.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct JsonError(#[from] serde_json::Error);

/// Reads one JSON document.
pub fn parse(json: &[u8]) -> Result<Value, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = Strict.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Writes `value` in canonical form.
pub fn to_string(value: &Value) -> String {
    let mut json = String::new();
    write_value(&mut json, value);
    json
}

/// Appends `value` in canonical form.
pub(crate) fn write_value(json: &mut String, value: &Value) {
    match value {
        Value::Null => json.push_str("null"),
        Value::Bool(true) => json.push_str("true"),
        Value::Bool(false) => json.push_str("false"),
        Value::Number(number) => write_number(json, number),
        Value::String(text) => write_text(json, text),
        Value::Array(items) => {
            json.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    json.push(',');
                }
                write_value(json, item);
            }
            json.push(']');
        }
        Value::Object(fields) => {
            let mut keys: Vec<_> = fields.iter().collect();
            keys.sort_by(|a, b| key_order(a.0, b.0));
            let mut object = ObjectWriter::open(json);
            for (key, value) in keys {
                write_value(object.key(key), value);
            }
            object.close();
        }
    }
}

/// How RFC 8785 orders keys: by UTF-16 code units. That is byte order but where characters beyond U+FFFF meet others
/// above U+D7FF.
pub(crate) fn key_order(a: &str, b: &str) -> std::cmp::Ordering {
    if a.bytes().chain(b.bytes()).all(|byte| byte < 0xee) {
        return a.cmp(b);
    }
    a.encode_utf16().cmp(b.encode_utf16())
}

/// Writes one object, whose keys the caller brings in [`key_order`].
pub(crate) struct ObjectWriter<'a> {
    json: &'a mut String,
    is_empty: bool,
}

impl<'a> ObjectWriter<'a> {
    pub(crate) fn open(json: &'a mut String) -> Self {
        json.push('{');
        Self { json, is_empty: true }
    }

    /// Writes a key; its value is to be appended to what this returns.
    pub(crate) fn key(&mut self, key: &str) -> &mut String {
        if !self.is_empty {
            self.json.push(',');
        }
        self.is_empty = false;
        write_text(self.json, key);
        self.json.push(':');
        self.json
    }

    pub(crate) fn close(self) {
        self.json.push('}');
    }
}

/// Numbers are those of ECMAScript: doubles, integers without a fraction (RFC 8785, section 3.2.2.3).
fn write_number(json: &mut String, number: &Number) {
    const EXACT: u64 = 1 << 53;
    match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(integer), _, _) if integer <= EXACT => json.push_str(&integer.to_string()),
        (_, Some(integer), _) if integer.unsigned_abs() <= EXACT => json.push_str(&integer.to_string()),
        (_, _, Some(double)) => json.push_str(ryu_js::Buffer::new().format(double)),
        // serde_json holds no other numbers.
        _ => json.push_str("null"),
    }
}

/// Texts escape what must be escaped, in the shortest way (RFC 8785, section 3.2.2.2).
pub(crate) fn write_text(json: &mut String, text: &str) {
    json.push('"');
    // Nearly no text of an index has anything to escape.
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        json.push_str(text);
        json.push('"');
        return;
    }
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0c => "\\f",
            0..=0x1f => "\\u00",
            _ => continue,
        };
        json.push_str(&text[plain..at]);
        json.push_str(escape);
        if escape == "\\u00" {
            json.push(char::from(b'0' + (byte >> 4)));
            json.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        }
        plain = at + 1;
    }
    json.push_str(&text[plain..]);
    json.push('"');
}

/// Reads a value and refuses repeated keys, at every depth.
pub(crate) struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number beyond all bounds"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            insert_once(&mut object, key, &mut fields)?;
        }
        Ok(Value::Object(object))
    }
}

/// Reads the value of `key` into `object`, which must not have it yet.
pub(crate) fn insert_once<'de, A: MapAccess<'de>>(
    object: &mut Map<String, Value>,
    key: String,
    fields: &mut A,
) -> Result<(), A::Error> {
    if object.contains_key(&key) {
        return Err(repeated_key(&key));
    }
    let value = fields.next_value_seed(Strict)?;
    object.insert(key, value);
    Ok(())
}

pub(crate) fn repeated_key<E: de::Error>(key: &str) -> E {
    E::custom(format_args!("the key {key:?} comes twice"))
}

/// A value read strictly, for use where a `Deserialize` is wanted.
pub(crate) struct StrictValue(pub(crate) Value);

impl<'de> Deserialize<'de> for StrictValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Strict.deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(json: &str) -> String {
        to_string(&parse(json.as_bytes()).unwrap())
    }

    #[test]
    fn follows_rfc_8785() {
        for (json, expected) in [
            // RFC 8785, section 3.2.2.
            (
                r#"{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
                    "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"#,
                "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
                 \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}",
            ),
            // RFC 8785, section 3.2.3: keys by UTF-16 code units.
            (
                r#"{"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\ud83d\ude00": 5, "\u0080": 6, "\u00f6": 7}"#,
                "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}",
            ),
            ("-0", "0"),
            ("-0.0", "0"),
            ("9007199254740993", "9007199254740992"),
            ("-9007199254740993", "-9007199254740992"),
            ("100000000000000000000", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("10.0", "10"),
        ] {
            assert_eq!(canonical(json), expected, "{json}");
        }
    }

    #[test]
    fn refuses_what_readers_differ_on() {
        let deep = "[".repeat(1_000_000);
        for json in [
            r#"{"a":1,"a":1}"#,
            r#"[{"x":{"a":1,"\u0061":2}}]"#,
            "1 2",
            "",
            "{",
            "\"\\ud800\"",
            "1e999",
            "NaN",
            &deep,
        ] {
            assert!(parse(json.as_bytes()).is_err(), "{}", &json[..json.len().min(40)]);
        }
        assert!(parse(b"\"\xff\"").is_err());
    }

    /// Any JSON value, with texts and numbers from all over their ranges.
    pub(crate) fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(|double| Number::from_f64(double).map_or(Value::Null, Value::Number)),
            any::<String>().prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn canonical_form_is_a_fixed_point(value in any_json()) {
            let once = to_string(&value);
            prop_assert_eq!(canonical(&once), once);
        }

        #[test]
        fn texts_survive(text: String) {
            let json = to_string(&Value::String(text.clone()));
            prop_assert_eq!(parse(json.as_bytes()).unwrap(), Value::String(text));
        }
    }
}
