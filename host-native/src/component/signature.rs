//! Functions as WIT writes them, from the types of a compiled component.
//!
//! A component's types have no names of their own: an interface only exports some under a name. So a type is written
//! by the name under which the component exports its like, and spelled out where it exports none.

use wasmtime::component::Type;
use wasmtime::component::types::ComponentFunc;

/// The types that an interface exports, with their names.
pub(super) struct NamedTypes<'a>(pub(super) Vec<(&'a str, Type)>);

impl NamedTypes<'_> {
    /// A function's parameters and result, as `func(content: list<u8>) -> string`.
    pub(super) fn signature(&self, function: &ComponentFunc) -> String {
        let parameters: Vec<_> =
            function.params().map(|(name, ty)| format!("{name}: {}", self.write(&ty))).collect();
        let result: String = function.results().map(|ty| format!(" -> {}", self.write(&ty))).collect();
        format!("func({}){result}", parameters.join(", "))
    }

    fn write(&self, ty: &Type) -> String {
        match ty {
            Type::Bool => "bool".to_owned(),
            Type::S8 => "s8".to_owned(),
            Type::S16 => "s16".to_owned(),
            Type::S32 => "s32".to_owned(),
            Type::S64 => "s64".to_owned(),
            Type::U8 => "u8".to_owned(),
            Type::U16 => "u16".to_owned(),
            Type::U32 => "u32".to_owned(),
            Type::U64 => "u64".to_owned(),
            Type::Float32 => "f32".to_owned(),
            Type::Float64 => "f64".to_owned(),
            Type::Char => "char".to_owned(),
            Type::String => "string".to_owned(),
            Type::List(list) => format!("list<{}>", self.write(&list.ty())),
            Type::FixedLengthList(list) => format!("list<{}, {}>", self.write(&list.ty()), list.len()),
            Type::Map(map) => format!("map<{}, {}>", self.write(&map.key()), self.write(&map.value())),
            Type::Option(option) => format!("option<{}>", self.write(&option.ty())),
            Type::Tuple(tuple) => format!("tuple<{}>", self.join(tuple.types())),
            Type::Result(result) => match (result.ok(), result.err()) {
                (None, None) => "result".to_owned(),
                (Some(ok), None) => format!("result<{}>", self.write(&ok)),
                (ok, Some(err)) => {
                    let ok = ok.map_or("_".to_owned(), |ok| self.write(&ok));
                    format!("result<{ok}, {}>", self.write(&err))
                }
            },
            Type::Record(_) => self.name(ty, "record"),
            Type::Variant(_) => self.name(ty, "variant"),
            Type::Enum(_) => self.name(ty, "enum"),
            Type::Flags(_) => self.name(ty, "flags"),
            Type::Own(_) | Type::Borrow(_) => self.name(ty, "resource"),
            Type::Future(_) => "future".to_owned(),
            Type::Stream(_) => "stream".to_owned(),
            Type::ErrorContext => "error-context".to_owned(),
        }
    }

    fn join(&self, types: impl Iterator<Item = Type>) -> String {
        types.map(|ty| self.write(&ty)).collect::<Vec<_>>().join(", ")
    }

    fn name(&self, ty: &Type, kind: &str) -> String {
        self.0.iter().find(|(_, named)| named == ty).map_or(kind, |(name, _)| name).to_owned()
    }
}
