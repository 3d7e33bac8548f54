//! `index.json`: which manifests an image layout holds and what they are called.
//!
//! It is kept as the JSON that it is, so that whatever other tools wrote there survives.

use std::fmt;

use bundle_core::bundle::descriptor::{Descriptor, media_type};
use bundle_core::digest::Digest;
use bundle_core::name::reference::{Reference, Tag};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};

use super::text_field;
use crate::text::harmless;

/// The annotation that holds a tag.
const NAME: &str = "org.opencontainers.image.ref.name";

/// The most manifests that one layout may list: each costs as much memory as its text, and a lookup goes over all of them.
const MAX_MANIFESTS: usize = 200_000;

/// The longest entry of one manifest, in bytes.
const MAX_ENTRY_BYTES: usize = 1 << 20;

/// The most fields beside the list of manifests; the specification knows five.
const MAX_FIELDS: usize = 64;

/// The content of `index.json`.
#[derive(Debug)]
pub(crate) struct Index {
    /// Every field but the list, in the order of the file, with the JSON that it holds.
    fields: Vec<(String, String)>,
    /// The JSON of each entry. As text it takes a fraction of what it takes as a tree of values.
    manifests: Vec<Box<str>>,
}

/// Why an `index.json` cannot be taken; its reader knows of which place it is.
#[derive(Debug)]
pub(crate) struct IndexFault(pub(crate) String);

/// What the index says of a tag.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) digest: Digest,
    pub(crate) media_type: Option<String>,
}

impl Index {
    /// One that names nothing.
    pub(crate) fn empty() -> Self {
        let fields = [("schemaVersion", json!(2)), ("mediaType", json!(media_type::IMAGE_INDEX))];
        let fields = fields.into_iter().map(|(field, value)| (field.to_owned(), value.to_string()));
        Self { fields: fields.collect(), manifests: Vec::new() }
    }

    /// Reads the bytes of `index.json`.
    pub(crate) fn parse(content: &[u8]) -> Result<Self, IndexFault> {
        let fault = |error: serde_json::Error| IndexFault(harmless(&error.to_string()));
        let mut reader = serde_json::Deserializer::from_slice(content);
        let index = reader.deserialize_map(DocumentVisitor).map_err(fault)?;
        reader.end().map_err(fault)?;
        Ok(index)
    }

    fn manifests(&self) -> impl DoubleEndedIterator<Item = Value> {
        self.manifests.iter().filter_map(|entry| serde_json::from_str(entry).ok())
    }

    /// What `tag` points to. Of two entries with one name the later counts; a name that is a whole reference counts where
    /// no entry has the tag itself.
    pub(crate) fn find(&self, tag: &Tag) -> Result<Option<Entry>, IndexFault> {
        let own = self.manifests().rfind(|entry| name(entry) == Some(tag.as_str()));
        let Some(entry) = own.or_else(|| self.manifests().rfind(|entry| tag_of(entry).as_ref() == Some(tag)))
        else {
            return Ok(None);
        };
        let digest = entry.get("digest").and_then(Value::as_str).unwrap_or_default();
        let digest = digest.parse().map_err(|fault| IndexFault(format!("tag {tag}: {fault}")))?;
        let media_type = entry.get("mediaType").and_then(Value::as_str).map(str::to_owned);
        Ok(Some(Entry { digest, media_type }))
    }

    /// The tags, sorted, each once.
    pub(crate) fn tags(&self) -> Vec<Tag> {
        let mut tags: Vec<Tag> = self.manifests().filter_map(|entry| tag_of(&entry)).collect();
        tags.sort();
        tags.dedup();
        tags
    }

    /// Every manifest that is named by a digest that we know, and the tag that the entry gives it.
    pub(crate) fn manifests_and_tags(&self) -> Vec<(Digest, Option<Tag>)> {
        self.manifests()
            .filter_map(|entry| {
                let digest = entry.get("digest")?.as_str()?.parse().ok()?;
                Some((digest, tag_of(&entry)))
            })
            .collect()
    }

    /// Makes `tag` point to the manifest whose bytes are `content`, and nothing else.
    pub(crate) fn point(&mut self, tag: &Tag, manifest: &Descriptor, content: &[u8]) {
        let mut entry = json!({
            "mediaType": manifest.media_type,
            "digest": manifest.digest,
            "size": manifest.size,
            "annotations": { NAME: tag.as_str() },
        });
        if let Some(artifact_type) = text_field(content, "artifactType") {
            entry["artifactType"] = Value::String(artifact_type);
        }
        self.retain(|entry| name(entry) != Some(tag.as_str()));
        self.manifests.push(entry.to_string().into());
    }

    /// Forgets `tag`, and with it the manifest where nothing else in the list names that.
    pub(crate) fn remove_tag(&mut self, tag: &Tag) {
        let is_named = self.manifests().any(|entry| name(&entry) == Some(tag.as_str()));
        if is_named {
            self.retain(|entry| name(entry) != Some(tag.as_str()));
        } else {
            self.retain(|entry| tag_of(entry).as_ref() != Some(tag));
        }
    }

    /// Forgets a manifest and every tag of it; whether there was one.
    pub(crate) fn remove_manifest(&mut self, digest: &Digest) -> bool {
        let (before, digest) = (self.manifests.len(), digest.to_string());
        self.retain(|entry| entry.get("digest").and_then(Value::as_str) != Some(&digest));
        self.manifests.len() < before
    }

    /// Keeps the entries of which `is_kept` holds, and those that no one understands.
    fn retain(&mut self, is_kept: impl Fn(&Value) -> bool) {
        self.manifests.retain(|entry| serde_json::from_str(entry).map_or(true, |entry| is_kept(&entry)));
    }

    /// The bytes of `index.json`.
    pub(crate) fn to_json(&self) -> String {
        let length: usize = self.manifests.iter().map(|entry| entry.len() + 1).sum();
        let mut json = String::with_capacity(length + 1024);
        json.push('{');
        for (field, value) in &self.fields {
            json.push_str(&format!("{}:{value},", Value::from(field.as_str())));
        }
        json.push_str("\"manifests\":[");
        for (at, entry) in self.manifests.iter().enumerate() {
            if at > 0 {
                json.push(',');
            }
            json.push_str(entry);
        }
        json.push_str("]}");
        json
    }
}

fn name(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(NAME)?.as_str()
}

/// The tag that an entry gives its manifest: its name, or the tag of the whole reference that some tools write there
/// (`registry.example/name:v1`).
fn tag_of(entry: &Value) -> Option<Tag> {
    let name = name(entry)?;
    name.parse().ok().or_else(|| name.parse::<Reference>().ok()?.tag)
}

/// Reads the document.
struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Index;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list `manifests`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Index, A::Error> {
        let (mut fields, mut manifests) = (Vec::new(), None);
        while let Some(field) = map.next_key::<String>()? {
            if field == "manifests" {
                if manifests.replace(map.next_value_seed(Manifests)?).is_some() {
                    return Err(A::Error::custom("it has two lists `manifests`"));
                }
                continue;
            }
            let mut value = String::new();
            map.next_value_seed(Copied(&mut value))?;
            if fields.len() == MAX_FIELDS {
                return Err(A::Error::custom(format_args!("it has more than {MAX_FIELDS} fields")));
            }
            fields.push((field, value));
        }
        let manifests = manifests.ok_or_else(|| A::Error::custom("it has no list `manifests`"))?;
        Ok(Index { fields, manifests })
    }
}

/// Reads the list of manifests, each as the text that it is.
struct Manifests;

impl<'de> DeserializeSeed<'de> for Manifests {
    type Value = Vec<Box<str>>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Manifests {
    type Value = Vec<Box<str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of manifests")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut manifests, mut entry) = (Vec::new(), String::new());
        while list.next_element_seed(Copied(&mut entry))?.is_some() {
            if manifests.len() == MAX_MANIFESTS {
                return Err(A::Error::custom(format_args!("it lists more than {MAX_MANIFESTS} manifests")));
            }
            if entry.len() > MAX_ENTRY_BYTES {
                return Err(A::Error::custom(format_args!("an entry has more than {MAX_ENTRY_BYTES} bytes")));
            }
            manifests.push(entry.as_str().into());
            entry.clear();
        }
        Ok(manifests)
    }
}

/// Writes a value down as it is read, so that no more than its text is held.
struct Copied<'a>(&'a mut String);

impl Copied<'_> {
    fn write(self, value: &Value) {
        self.0.push_str(&value.to_string());
    }
}

impl<'de> DeserializeSeed<'de> for Copied<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Copied<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.write(&Value::Null);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.write(&value.into());
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.write(&value.into());
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.write(&value.into());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.write(&value.into());
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.write(&value.into());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut before = '[';
        self.0.push(before);
        loop {
            let length = self.0.len();
            if before == ',' {
                self.0.push(before);
            }
            if list.next_element_seed(Copied(self.0))?.is_none() {
                self.0.truncate(length);
                break;
            }
            before = ',';
        }
        self.0.push(']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.push('{');
        let mut is_first = true;
        while let Some(key) = map.next_key::<String>()? {
            if !std::mem::take(&mut is_first) {
                self.0.push(',');
            }
            Copied(self.0).write(&key.into());
            self.0.push(':');
            map.next_value_seed(Copied(self.0))?;
        }
        self.0.push('}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_survives() {
        let other = format!(
            r#"{{"schemaVersion":2,"annotations":{{"a":"b"}},"x":1,"manifests":[
                {{"mediaType":"m","digest":"sha512:00","size":1,"platform":{{"os":"linux"}}}},
                {{"mediaType":"m","digest":"{0}","size":1,"annotations":{{"{NAME}":"old"}},"urls":["u"]}},
                {{"mediaType":"m","digest":"{0}","size":1,"annotations":{{"{NAME}":"v1"}}}}]}}"#,
            Digest::of(b"x")
        );
        let mut index = Index::parse(other.as_bytes()).unwrap();
        let descriptor = Descriptor::of("m", b"new");
        index.point(&"v1".parse().unwrap(), &descriptor, br#"{"artifactType":"t"}"#);
        assert_eq!(index.find(&"v1".parse().unwrap()).unwrap().unwrap().digest, descriptor.digest);
        assert_eq!(index.tags().iter().map(Tag::as_str).collect::<Vec<_>>(), ["old", "v1"]);
        let before: Value = serde_json::from_str(&other).unwrap();
        let document = |index: &Index| serde_json::from_str::<Value>(&index.to_json()).unwrap();
        for kept in ["schemaVersion", "annotations", "x"] {
            assert_eq!(document(&index)[kept], before[kept]);
        }
        let mut shorter = Index::parse(index.to_json().as_bytes()).unwrap();
        shorter.remove_tag(&"v1".parse().unwrap());
        assert_eq!(shorter.tags().iter().map(Tag::as_str).collect::<Vec<_>>(), ["old"]);
        assert!(!shorter.remove_manifest(&descriptor.digest));
        assert!(shorter.remove_manifest(&Digest::of(b"x")));
        assert_eq!(
            document(&shorter)["manifests"].as_array().unwrap()[..],
            before["manifests"].as_array().unwrap()[..1]
        );
        let document = document(&index);
        let manifests = document["manifests"].as_array().unwrap();
        assert_eq!(manifests[..2], before["manifests"].as_array().unwrap()[..2]);
        assert_eq!(manifests[2]["artifactType"], "t");
        assert_eq!(manifests.len(), 3);
    }

    #[test]
    fn a_whole_reference_gives_its_tag_where_no_entry_has_that_itself() {
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        let entry = |digest: Digest, name: &str| json!({"digest": digest, "annotations": {NAME: name}});
        let list = |entries: &[Value]| json!({ "manifests": entries }).to_string();
        let v1: Tag = "v1".parse().unwrap();
        let whole = entry(one, "registry.example:5000/team/x:v1");
        let index = Index::parse(list(std::slice::from_ref(&whole)).as_bytes()).unwrap();
        assert_eq!(index.tags(), std::slice::from_ref(&v1));
        assert_eq!(index.find(&v1).unwrap().unwrap().digest, one);
        let index = Index::parse(list(&[entry(other, "v1"), whole]).as_bytes()).unwrap();
        assert_eq!(index.find(&v1).unwrap().unwrap().digest, other);
        for name in ["registry.example/x", "registry.example/x@sha256:0", "", "a b"] {
            let index = Index::parse(list(&[entry(one, name)]).as_bytes()).unwrap();
            assert_eq!((index.tags(), index.manifests_and_tags()), (vec![], vec![(one, None)]), "{name}");
        }
    }

    #[test]
    fn refuses_what_is_no_index() {
        for text in ["", "[]", "{}", r#"{"manifests":{}}"#, "null"] {
            assert!(Index::parse(text.as_bytes()).is_err(), "{text}");
        }
        let odd = r#"{"manifests":[null,1,{"annotations":[]},{"annotations":{"org.opencontainers.image.ref.name":"../x"}}]}"#;
        assert_eq!(Index::parse(odd.as_bytes()).unwrap().tags(), []);
        let foreign =
            format!(r#"{{"manifests":[{{"digest":"sha256:../x","annotations":{{"{NAME}":"v1"}}}}]}}"#);
        assert!(Index::parse(foreign.as_bytes()).unwrap().find(&"v1".parse().unwrap()).is_err());
    }

    #[test]
    fn every_kind_of_value_is_kept_as_it_is() {
        let text = r#"{"a":[],"b":[null,true,-1,2.5,18446744073709551615,"\n\"\u00e4"],"c":{},"d":{"e":{"f":[[]]}},"manifests":[{"x":[{}]}]}"#;
        let index = Index::parse(text.as_bytes()).unwrap();
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(value(&index.to_json()), value(text));
    }

    #[test]
    fn what_would_take_much_memory_is_refused() {
        let many = |count: usize| format!(r#"{{"manifests":[{}0]}}"#, "0,".repeat(count - 1));
        assert!(Index::parse(many(MAX_MANIFESTS).as_bytes()).is_ok());
        assert!(Index::parse(many(MAX_MANIFESTS + 1).as_bytes()).is_err());
        let long = format!(r#"{{"manifests":[{{"x":"{}"}}]}}"#, "x".repeat(MAX_ENTRY_BYTES));
        assert!(Index::parse(long.as_bytes()).is_err());
        let fields: String = (0..=MAX_FIELDS).map(|at| format!(r#""f{at}":0,"#)).collect();
        assert!(Index::parse(format!(r#"{{{fields}"manifests":[]}}"#).as_bytes()).is_err());
        assert!(Index::parse(br#"{"manifests":[],"manifests":[]}"#).is_err());
    }
}
