//! JSON to the values of a component and back: how `core call` reaches any function of any component.
//!
//! Nothing here knows a function's name: the component's own types say what is taken. Names in JSON are those of the
//! WIT in snake_case; bytes are a text where they are UTF-8 and not empty, else a list of numbers.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Number, Value};
use thiserror::Error;
use wasmtime::component::types::{Record, ResultType, Variant};
use wasmtime::component::{Type, Val};

/// A JSON document is not what a function takes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct InputError {
    /// Where the fault is, as `local[3].size`; empty where the whole document is meant.
    pub at: String,
    /// What is wrong there.
    pub reason: String,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.at.is_empty() {
            write!(f, "{}: ", self.at)?;
        }
        f.write_str(&self.reason)
    }
}

/// Reads a function's arguments from one object, whose keys are their names.
///
/// Where the only parameter is a record, its fields may also stand in the object themselves.
pub(super) fn arguments(parameters: &[(&str, Type)], input: Value) -> Result<Vec<Val>, InputError> {
    let top = Place::Top;
    let Value::Object(object) = input else { return Err(top.expected("a JSON object", &input)) };
    if let [(name, Type::Record(record))] = parameters
        && !is_wrapped(&object, name, record)
    {
        return Ok(vec![read_record(record, object, &top)?]);
    }
    let arguments = read_fields(parameters, object, &top)?;
    Ok(arguments.into_iter().map(|(_, argument)| argument).collect())
}

/// Whether an object holds a record as its only member rather than the record's fields.
fn is_wrapped(object: &Map<String, Value>, name: &str, record: &Record) -> bool {
    let is_field = record.fields().any(|field| field.name == name);
    object.len() == 1 && object.get(&*snake_case(name)).is_some_and(|value| !is_field || value.is_object())
}

/// A place in a JSON document, known only while it is read.
enum Place<'a> {
    Top,
    Field(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => Ok(()),
            Self::Field(Self::Top, name) => write!(f, "{}", name.escape_debug()),
            Self::Field(place, name) => write!(f, "{place}.{}", name.escape_debug()),
            Self::Item(place, at) => write!(f, "{place}[{at}]"),
        }
    }
}

impl Place<'_> {
    fn fault(&self, reason: impl Into<String>) -> InputError {
        InputError { at: self.to_string(), reason: reason.into() }
    }

    fn expected(&self, what: &str, found: &Value) -> InputError {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "another number",
            Value::String(_) => "another text",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        match (what, found) {
            ("a string", "another text") | ("a number", "another number") => {
                self.fault(format!("expected {what}"))
            }
            _ => self.fault(format!("expected {what}, found {found}")),
        }
    }
}

fn read(ty: &Type, json: Value, place: &Place<'_>) -> Result<Val, InputError> {
    Ok(match ty {
        Type::Bool => Val::Bool(json.as_bool().ok_or_else(|| place.expected("true or false", &json))?),
        Type::S8 => Val::S8(signed(&json, place)?),
        Type::S16 => Val::S16(signed(&json, place)?),
        Type::S32 => Val::S32(signed(&json, place)?),
        Type::S64 => Val::S64(signed(&json, place)?),
        Type::U8 => Val::U8(unsigned(&json, place)?),
        Type::U16 => Val::U16(unsigned(&json, place)?),
        Type::U32 => Val::U32(unsigned(&json, place)?),
        Type::U64 => Val::U64(unsigned(&json, place)?),
        Type::Float32 => Val::Float32(number(&json, place)? as f32),
        Type::Float64 => Val::Float64(number(&json, place)?),
        Type::Char => Val::Char(character(&json, place)?),
        Type::String => match json {
            Value::String(text) => Val::String(text),
            other => return Err(place.expected("a string", &other)),
        },
        Type::List(list) => match (list.ty(), json) {
            (Type::U8, Value::String(text)) => {
                Val::List(text.into_bytes().into_iter().map(Val::U8).collect())
            }
            (item, Value::Array(items)) => {
                let items = items.into_iter().enumerate();
                Val::List(
                    items
                        .map(|(at, json)| read(&item, json, &Place::Item(place, at)))
                        .collect::<Result<_, _>>()?,
                )
            }
            (Type::U8, other) => return Err(place.expected("a string or an array of bytes", &other)),
            (_, other) => return Err(place.expected("an array", &other)),
        },
        Type::Tuple(tuple) => match json {
            Value::Array(items) if items.len() == tuple.types().len() => {
                let items = tuple.types().zip(items).enumerate();
                let read = |(at, (ty, json))| read(&ty, json, &Place::Item(place, at));
                Val::Tuple(items.map(read).collect::<Result<_, _>>()?)
            }
            other => {
                return Err(place.expected(&format!("an array of {} items", tuple.types().len()), &other));
            }
        },
        Type::Record(record) => match json {
            Value::Object(object) => read_record(record, object, place)?,
            other => return Err(place.expected("an object", &other)),
        },
        Type::Variant(variant) => read_variant(variant, json, place)?,
        Type::Enum(cases) => match json.as_str().and_then(|text| find_case(cases.names(), text)) {
            Some(case) => Val::Enum(case),
            None => return Err(place.expected(&one_of(cases.names()), &json)),
        },
        Type::Flags(flags) => {
            let Value::Array(items) = json else { return Err(place.expected("an array of names", &json)) };
            let name = |(at, json): (usize, Value)| {
                let known = json.as_str().and_then(|text| find_case(flags.names(), text));
                known.ok_or_else(|| Place::Item(place, at).expected(&one_of(flags.names()), &json))
            };
            Val::Flags(items.into_iter().enumerate().map(name).collect::<Result<_, _>>()?)
        }
        Type::Option(_) if json.is_null() => Val::Option(None),
        Type::Option(option) => Val::Option(Some(Box::new(read(&option.ty(), json, place)?))),
        Type::Result(result) => read_result(result, json, place)?,
        Type::Map(_)
        | Type::Own(_)
        | Type::Borrow(_)
        | Type::Future(_)
        | Type::Stream(_)
        | Type::ErrorContext
        | Type::FixedLengthList(_) => return Err(place.fault("a value of this type cannot be given as JSON")),
    })
}

fn signed<T: TryFrom<i64>>(json: &Value, place: &Place<'_>) -> Result<T, InputError> {
    let integer = json.as_i64().and_then(|integer| T::try_from(integer).ok());
    integer.ok_or_else(|| place.expected(&format!("an integer of {} bits", 8 * size_of::<T>()), json))
}

fn unsigned<T: TryFrom<u64>>(json: &Value, place: &Place<'_>) -> Result<T, InputError> {
    let integer = json.as_u64().and_then(|integer| T::try_from(integer).ok());
    let what = if size_of::<T>() == 8 {
        Cow::Borrowed("an unsigned integer")
    } else {
        Cow::Owned(format!("an unsigned integer of {} bits", 8 * size_of::<T>()))
    };
    integer.ok_or_else(|| place.expected(&what, json))
}

fn number(json: &Value, place: &Place<'_>) -> Result<f64, InputError> {
    json.as_f64().ok_or_else(|| place.expected("a number", json))
}

fn character(json: &Value, place: &Place<'_>) -> Result<char, InputError> {
    let mut characters = json.as_str().unwrap_or_default().chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) => Ok(character),
        _ => Err(place.expected("a string of one character", json)),
    }
}

fn read_record(record: &Record, object: Map<String, Value>, place: &Place<'_>) -> Result<Val, InputError> {
    let fields: Vec<_> = record.fields().map(|field| (field.name, field.ty)).collect();
    Ok(Val::Record(read_fields(&fields, object, place)?))
}

/// The fields of a `file`. Scripts leave its mode out where it is plain, and write `null` where it is unknown.
const FILE_FIELDS: [&str; 4] = ["path", "digest", "size", "executable"];

/// Reads each of `fields` from `object`, in their order, and refuses whatever else is there.
fn read_fields(
    fields: &[(&str, Type)],
    mut object: Map<String, Value>,
    place: &Place<'_>,
) -> Result<Vec<(String, Val)>, InputError> {
    let is_file = fields.iter().map(|(name, _)| *name).eq(FILE_FIELDS);
    let mut values = Vec::with_capacity(fields.len());
    for (name, ty) in fields {
        let key = snake_case(name);
        let place = Place::Field(place, &key);
        let value = match (object.remove(&*key), ty) {
            (Some(json), _) => read(ty, json, &place)?,
            (None, Type::Option(_)) if is_file && *name == "executable" => {
                Val::Option(Some(Box::new(Val::Bool(false))))
            }
            (None, Type::Option(_)) => Val::Option(None),
            (None, Type::Bool) => Val::Bool(false),
            (None, _) => return Err(place.fault("it is missing")),
        };
        values.push(((*name).to_owned(), value));
    }
    match object.keys().next() {
        None => Ok(values),
        Some(key) => {
            let reason = format!("no such field, expected {}", one_of(fields.iter().map(|(name, _)| *name)));
            Err(Place::Field(place, key).fault(reason))
        }
    }
}

/// A case without payload is its name; one with payload is an object of one member, `{"case": payload}`.
fn read_variant(variant: &Variant, json: Value, place: &Place<'_>) -> Result<Val, InputError> {
    let (name, payload) = match json {
        Value::String(name) => (name, None),
        Value::Object(object) if object.len() == 1 => match object.into_iter().next() {
            Some((name, payload)) => (name, Some(payload)),
            None => return Err(place.fault("expected a case")),
        },
        other => return Err(place.expected("a case: its name, or an object of one member", &other)),
    };
    let Some(case) = variant.cases().find(|case| case.name == name || snake_case(case.name) == name) else {
        return Err(place.fault(format!("expected {}", one_of(variant.cases().map(|case| case.name)))));
    };
    let place = Place::Field(place, &name);
    let payload = match (case.ty, payload) {
        (Some(ty), Some(json)) => Some(Box::new(read(&ty, json, &place)?)),
        (None, None | Some(Value::Null)) => None,
        (Some(_), None) => return Err(place.fault(format!("expected {{\"{name}\": …}}"))),
        (None, Some(_)) => return Err(place.fault("this case holds nothing")),
    };
    Ok(Val::Variant(case.name.to_owned(), payload))
}

fn read_result(result: &ResultType, json: Value, place: &Place<'_>) -> Result<Val, InputError> {
    let side = |ty: Option<Type>, json: Value, name| match ty {
        Some(ty) => Ok(Some(Box::new(read(&ty, json, &Place::Field(place, name))?))),
        None if json.is_null() => Ok(None),
        None => Err(Place::Field(place, name).expected("null", &json)),
    };
    let Value::Object(mut object) = json else {
        return Err(place.expected("an object with `ok` or `err`", &json));
    };
    match (object.remove("ok"), object.remove("err"), object.is_empty()) {
        (Some(json), None, true) => Ok(Val::Result(Ok(side(result.ok(), json, "ok")?))),
        (None, Some(json), true) => Ok(Val::Result(Err(side(result.err(), json, "err")?))),
        _ => Err(place.fault("expected an object with `ok` or `err`")),
    }
}

/// The name in the WIT's spelling of what `text` spells in either way.
fn find_case<'a>(mut names: impl Iterator<Item = &'a str>, text: &str) -> Option<String> {
    names.find(|name| *name == text || snake_case(name) == text).map(str::to_owned)
}

fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(snake_case).collect();
    format!("one of {}", names.join(", "))
}

fn snake_case(name: &str) -> Cow<'_, str> {
    if name.contains('-') { Cow::Owned(name.replace('-', "_")) } else { Cow::Borrowed(name) }
}

/// Writes a value as JSON. A handle, which means nothing outside its instance, becomes null.
pub(super) fn write(value: Val) -> Value {
    match value {
        Val::Bool(value) => value.into(),
        Val::S8(integer) => integer.into(),
        Val::S16(integer) => integer.into(),
        Val::S32(integer) => integer.into(),
        Val::S64(integer) => integer.into(),
        Val::U8(integer) => integer.into(),
        Val::U16(integer) => integer.into(),
        Val::U32(integer) => integer.into(),
        Val::U64(integer) => integer.into(),
        Val::Float32(number) => Number::from_f64(number.into()).map_or(Value::Null, Value::Number),
        Val::Float64(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        Val::Char(character) => character.to_string().into(),
        Val::String(text) => text.into(),
        Val::List(items) => match document(&items) {
            Some(text) => text.into(),
            None => items.into_iter().map(write).collect(),
        },
        Val::Tuple(items) | Val::FixedLengthList(items) => items.into_iter().map(write).collect(),
        Val::Map(pairs) => {
            pairs.into_iter().map(|(key, value)| Value::Array(vec![write(key), write(value)])).collect()
        }
        Val::Record(fields) => {
            let fields =
                fields.into_iter().map(|(name, value)| (snake_case(&name).into_owned(), write(value)));
            Value::Object(fields.collect())
        }
        Val::Variant(name, None) | Val::Enum(name) => snake_case(&name).into(),
        Val::Variant(name, Some(payload)) => member(&snake_case(&name), write(*payload)),
        Val::Option(None) => Value::Null,
        Val::Option(Some(value)) => write(*value),
        Val::Result(Ok(value)) => member("ok", optional(value)),
        Val::Result(Err(value)) => member("err", optional(value)),
        Val::Flags(names) => names.iter().map(|name| Value::from(snake_case(name))).collect(),
        Val::Resource(_) | Val::Future(_) | Val::Stream(_) | Val::ErrorContext(_) => Value::Null,
    }
}

/// The text that a list of bytes is; an empty list of anything is an empty list.
fn document(items: &[Val]) -> Option<String> {
    let byte = |item: &Val| match item {
        Val::U8(byte) => Some(*byte),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = items.iter().map(byte).collect();
    bytes.filter(|bytes| !bytes.is_empty()).and_then(|bytes| String::from_utf8(bytes).ok())
}

/// Writes what a function returned as one object: a record is that object, anything else stands under `result`.
///
/// The error of a function that can fail comes back as the error.
pub(super) fn write_outcome(outcome: Option<Val>) -> Result<Value, Value> {
    let value = match outcome {
        Some(Val::Result(Err(error))) => return Err(optional(error)),
        Some(Val::Result(Ok(value))) => value.map(|value| *value),
        other => other,
    };
    Ok(match value {
        Some(record @ Val::Record(_)) => write(record),
        Some(value) => member("result", write(value)),
        None => member("result", Value::Null),
    })
}

fn optional(value: Option<Box<Val>>) -> Value {
    value.map_or(Value::Null, |value| write(*value))
}

fn member(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}
