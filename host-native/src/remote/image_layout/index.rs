//! `index.json`: which manifests an image layout holds and what they are called.
//!
//! It is kept as the JSON that it is, so that whatever other tools wrote there survives.

use bundle_core::descriptor::{Descriptor, media_type};
use bundle_core::digest::Digest;
use bundle_core::reference::{Reference, Tag};
use serde_json::{Map, Value, json};

use super::{INDEX_FILE, text_field};
use crate::remote::RemoteError;

/// The annotation that holds a tag.
const NAME: &str = "org.opencontainers.image.ref.name";

/// The content of `index.json`.
#[derive(Debug)]
pub(in crate::remote) struct Index {
    document: Map<String, Value>,
}

/// What the index says of a tag.
#[derive(Debug)]
pub(in crate::remote) struct Entry {
    pub(in crate::remote) digest: Digest,
    pub(in crate::remote) media_type: Option<String>,
}

impl Index {
    /// One that names nothing.
    pub(in crate::remote) fn empty() -> Self {
        let document = [
            ("schemaVersion".to_owned(), json!(2)),
            ("mediaType".to_owned(), json!(media_type::IMAGE_INDEX)),
            ("manifests".to_owned(), json!([])),
        ];
        Self { document: document.into_iter().collect() }
    }

    /// Reads the bytes of `index.json`.
    pub(in crate::remote) fn parse(content: &[u8]) -> Result<Self, RemoteError> {
        let fault =
            |fault: &str| RemoteError::Protocol { what: INDEX_FILE.to_owned(), fault: fault.to_owned() };
        let document: Value = serde_json::from_slice(content).map_err(|error| fault(&error.to_string()))?;
        match document {
            Value::Object(document) if document.get("manifests").is_some_and(Value::is_array) => {
                Ok(Self { document })
            }
            _ => Err(fault("it is no object with a list `manifests`")),
        }
    }

    fn manifests(&self) -> impl DoubleEndedIterator<Item = &Value> {
        self.document.get("manifests").and_then(Value::as_array).into_iter().flatten()
    }

    /// What `tag` points to. Of two entries with one name the later counts; a name that is a whole reference counts where
    /// no entry has the tag itself.
    pub(in crate::remote) fn find(&self, tag: &Tag) -> Result<Option<Entry>, RemoteError> {
        let own = self.manifests().rfind(|entry| name(entry) == Some(tag.as_str()));
        let Some(entry) = own.or_else(|| self.manifests().rfind(|entry| tag_of(entry).as_ref() == Some(tag)))
        else {
            return Ok(None);
        };
        let digest = entry.get("digest").and_then(Value::as_str).unwrap_or_default();
        let digest = digest.parse().map_err(|fault| RemoteError::Protocol {
            what: format!("tag {tag} in {INDEX_FILE}"),
            fault: format!("{fault}"),
        })?;
        let media_type = entry.get("mediaType").and_then(Value::as_str).map(str::to_owned);
        Ok(Some(Entry { digest, media_type }))
    }

    /// The tags, sorted, each once.
    pub(in crate::remote) fn tags(&self) -> Vec<Tag> {
        let mut tags: Vec<Tag> = self.manifests().filter_map(tag_of).collect();
        tags.sort();
        tags.dedup();
        tags
    }

    /// Every manifest that is named by a digest that we know, and the tag that the entry gives it.
    pub(in crate::remote) fn manifests_and_tags(&self) -> Vec<(Digest, Option<Tag>)> {
        self.manifests()
            .filter_map(|entry| {
                let digest = entry.get("digest")?.as_str()?.parse().ok()?;
                Some((digest, tag_of(entry)))
            })
            .collect()
    }

    /// Makes `tag` point to the manifest whose bytes are `content`, and nothing else.
    pub(in crate::remote) fn point(&mut self, tag: &Tag, manifest: &Descriptor, content: &[u8]) {
        let mut entry = json!({
            "mediaType": manifest.media_type,
            "digest": manifest.digest,
            "size": manifest.size,
            "annotations": { NAME: tag.as_str() },
        });
        if let Some(artifact_type) = text_field(content, "artifactType") {
            entry["artifactType"] = Value::String(artifact_type);
        }
        if let Some(manifests) = self.document.get_mut("manifests").and_then(Value::as_array_mut) {
            manifests.retain(|entry| name(entry) != Some(tag.as_str()));
            manifests.push(entry);
        }
    }

    /// Forgets `tag`, and with it the manifest where nothing else in the list names that.
    pub(in crate::remote) fn remove_tag(&mut self, tag: &Tag) {
        let Some(manifests) = self.document.get_mut("manifests").and_then(Value::as_array_mut) else {
            return;
        };
        match manifests.iter().any(|entry| name(entry) == Some(tag.as_str())) {
            true => manifests.retain(|entry| name(entry) != Some(tag.as_str())),
            false => manifests.retain(|entry| tag_of(entry).as_ref() != Some(tag)),
        }
    }

    /// Forgets a manifest and every tag of it; whether there was one.
    pub(in crate::remote) fn remove_manifest(&mut self, digest: &Digest) -> bool {
        let Some(manifests) = self.document.get_mut("manifests").and_then(Value::as_array_mut) else {
            return false;
        };
        let (before, digest) = (manifests.len(), digest.to_string());
        manifests.retain(|entry| entry.get("digest").and_then(Value::as_str) != Some(&digest));
        manifests.len() < before
    }

    /// The bytes of `index.json`.
    pub(in crate::remote) fn to_json(&self) -> String {
        Value::Object(self.document.clone()).to_string()
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
        for kept in ["schemaVersion", "annotations", "x"] {
            assert_eq!(index.document[kept], before[kept]);
        }
        let mut shorter = Index::parse(index.to_json().as_bytes()).unwrap();
        shorter.remove_tag(&"v1".parse().unwrap());
        assert_eq!(shorter.tags().iter().map(Tag::as_str).collect::<Vec<_>>(), ["old"]);
        assert!(!shorter.remove_manifest(&descriptor.digest));
        assert!(shorter.remove_manifest(&Digest::of(b"x")));
        assert_eq!(
            shorter.document["manifests"].as_array().unwrap()[..],
            before["manifests"].as_array().unwrap()[..1]
        );
        let manifests = index.document["manifests"].as_array().unwrap();
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
}
