//! A file of credentials in Docker's format, as `~/.docker/config.json` or Podman's `auth.json`.
//!
//! <https://docs.docker.com/reference/cli/docker/login/>, <https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md>.
//! What is not understood here is kept as it is. Faults never quote the file: it is full of secrets.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Map, Value, json};

use super::server::Server;
use super::{Credentials, CredentialsError, Found, Origin};
use crate::files::durable::write_private;
use crate::files::whole_file::{self, Links};

/// The largest file that is read.
const MAX_BYTES: u64 = 4 << 20;

/// Where a text of the format is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigPlace {
    /// In a file.
    File(PathBuf),
    /// In an environment variable of this name.
    Variable(&'static str),
}

impl fmt::Display for ConfigPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
        }
    }
}

/// A file of credentials, which need not be there, or a variable in place of one.
#[derive(Clone)]
pub struct Config {
    place: ConfigPlace,
    content: Map<String, Value>,
}

impl Config {
    /// Reads a file; one that is not there holds nothing.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::Io`] where it cannot be read, [`CredentialsError::Config`] where it is no JSON object.
    pub fn read(path: &Path) -> Result<Self, CredentialsError> {
        let io = |source| CredentialsError::Io { action: "read", path: path.to_owned(), source };
        let place = ConfigPlace::File(path.to_owned());
        match whole_file::read(path, MAX_BYTES, Links::Follow) {
            Ok(bytes) => Self::parse(place, &bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self { place, content: Map::new() }),
            Err(error) => Err(io(error)),
        }
    }

    /// Understands what a file of the format holds.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::Config`] where it is no JSON object.
    pub fn parse(place: ConfigPlace, text: &[u8]) -> Result<Self, CredentialsError> {
        // Docker itself leaves an empty file behind when its disk is full.
        if text.trim_ascii().is_empty() {
            return Ok(Self { place, content: Map::new() });
        }
        match serde_json::from_slice(text) {
            Ok(Value::Object(content)) => Ok(Self { place, content }),
            Ok(_) => Err(fault(&place, "it is no JSON object")),
            Err(error) => Err(fault(&place, format!("line {} is no JSON", error.line()))),
        }
    }

    /// Where it is.
    pub fn place(&self) -> &ConfigPlace {
        &self.place
    }

    /// The name of the helper that keeps the credentials of `server`: its own, or the one for all.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::Config`] where a name is no string or cannot be that of a program.
    pub fn helper(&self, server: &Server) -> Result<Option<String>, CredentialsError> {
        let own =
            best(self.object("credHelpers")?, server).map(|(key, name)| (format!("credHelpers.{key}"), name));
        let all = || self.content.get("credsStore").map(|name| ("credsStore".to_owned(), name));
        let Some((place, name)) = own.or_else(all) else { return Ok(None) };
        let name = name.as_str().ok_or_else(|| self.fault(format!("`{place}` is no string")))?;
        if name.is_empty() {
            return Ok(None);
        }
        let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if is_plain {
            Ok(Some(name.to_owned()))
        } else {
            Err(self.fault(format!("`{place}` is no name of a helper")))
        }
    }

    /// The credentials of `server` that are in the file itself, the most specific ones.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::Config`] where they cannot be understood.
    pub fn credentials(&self, server: &Server) -> Result<Option<Found>, CredentialsError> {
        let mut entries = fitting(self.object("auths")?, server);
        // An entry without any content only says that a helper has it.
        entries.retain(|(_, _, entry)| {
            entry.as_object().is_none_or(|entry| FIELDS.iter().any(|name| entry.contains_key(*name)))
        });
        let Some((_, key, entry)) = entries.pop() else { return Ok(None) };
        let origin = match &self.place {
            ConfigPlace::File(path) => Origin::File { path: path.clone(), key: key.to_owned() },
            ConfigPlace::Variable(name) => Origin::Variable { name },
        };
        Ok(self.entry(key, entry)?.map(|credentials| Found { credentials, origin }))
    }

    fn entry(&self, key: &str, entry: &Value) -> Result<Option<Credentials>, CredentialsError> {
        let fault = |fault: &str| self.fault(format!("`auths` of `{key}`: {fault}"));
        let entry = entry.as_object().ok_or_else(|| fault("it is no object"))?;
        let text = |name: &str| match entry.get(name) {
            None | Some(Value::Null) => Ok(""),
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(_) => Err(fault(&format!("`{name}` is no string"))),
        };
        let (mut user, mut password) = (text("username")?.to_owned(), text("password")?.to_owned());
        // `base64` breaks its lines, and Docker passes over that.
        let auth = text("auth")?.replace(['\r', '\n'], "");
        if !auth.is_empty() {
            let decoded = STANDARD.decode(&auth).or_else(|_| STANDARD_NO_PAD.decode(&auth));
            let decoded = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let decoded = decoded.ok_or_else(|| fault("`auth` is not the base64 of a text"))?;
            let (name, secret) =
                decoded.split_once(':').ok_or_else(|| fault("`auth` does not hold `user:password`"))?;
            (user, password) = (name.to_owned(), secret.trim_end_matches('\0').to_owned());
        }
        let token = text("identitytoken")?.to_owned();
        if !token.is_empty() {
            return Ok(Some(Credentials::IdentityToken { user, token }));
        }
        Ok((!user.is_empty() && !password.is_empty()).then_some(Credentials::Password { user, password }))
    }

    /// Puts credentials in, in place of what there was for that registry in any spelling. Writes nothing yet.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::Config`] where `auths` is something else than an object.
    pub fn insert(&mut self, server: &Server, credentials: &Credentials) -> Result<(), CredentialsError> {
        let old = self.take(server)?;
        let mut entry = old.and_then(|old| old.as_object().cloned()).unwrap_or_default();
        for name in FIELDS {
            entry.remove(name);
        }
        let password = match credentials {
            Credentials::Password { password, .. } => password,
            Credentials::IdentityToken { token, .. } => {
                entry.insert("identitytoken".to_owned(), json!(token));
                ""
            }
        };
        let auth = STANDARD.encode(format!("{}:{password}", credentials.user()));
        entry.insert("auth".to_owned(), json!(auth));
        let auths = self.content.entry("auths").or_insert_with(|| json!({}));
        if let Some(auths) = auths.as_object_mut() {
            auths.insert(server.key().to_owned(), Value::Object(entry));
        }
        Ok(())
    }

    /// Takes out what there is for that registry in any spelling; whether there was anything. Writes nothing yet.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::Config`] where `auths` is something else than an object.
    pub fn remove(&mut self, server: &Server) -> Result<bool, CredentialsError> {
        self.take(server).map(|taken| taken.is_some())
    }

    fn take(&mut self, server: &Server) -> Result<Option<Value>, CredentialsError> {
        self.object("auths")?;
        let Some(auths) = self.content.get_mut("auths").and_then(Value::as_object_mut) else {
            return Ok(None);
        };
        let keys: Vec<String> = auths.keys().filter(|key| server.is_named_by(key)).cloned().collect();
        Ok(keys.iter().filter_map(|key| auths.remove(key)).next_back())
    }

    /// Writes the file at `path`, for its owner's eyes alone.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), CredentialsError> {
        let io = |source| CredentialsError::Io { action: "write", path: path.to_owned(), source };
        let mut bytes = serde_json::to_vec_pretty(&self.content).map_err(|error| io(error.into()))?;
        bytes.push(b'\n');
        // Where it is a link, as those who keep their settings elsewhere have it, the link stays.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        write_private(&path, &bytes).map_err(io)
    }

    fn object(&self, name: &str) -> Result<Option<&Map<String, Value>>, CredentialsError> {
        match self.content.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(self.fault(format!("`{name}` is no object"))),
        }
    }

    fn fault(&self, what: impl Into<String>) -> CredentialsError {
        fault(&self.place, what)
    }
}

fn fault(place: &ConfigPlace, fault: impl Into<String>) -> CredentialsError {
    CredentialsError::Config { place: place.clone(), fault: fault.into() }
}

/// The fields of an entry that hold credentials.
const FIELDS: [&str; 4] = ["auth", "identitytoken", "password", "username"];

/// The entries that fit, the most specific one last; the registry's own key goes before other spellings of it.
fn fitting<'a>(
    entries: Option<&'a Map<String, Value>>,
    server: &Server,
) -> Vec<((usize, bool), &'a str, &'a Value)> {
    let fit = |key: &str| server.fit(key).map(|length| (length, key == server.key()));
    let entries = entries.into_iter().flatten();
    let mut fitting: Vec<_> =
        entries.filter_map(|(key, value)| fit(key).map(|fit| (fit, key.as_str(), value))).collect();
    fitting.sort_by_key(|(fit, ..)| *fit);
    fitting
}

fn best<'a>(entries: Option<&'a Map<String, Value>>, server: &Server) -> Option<(&'a str, &'a Value)> {
    fitting(entries, server).pop().map(|(_, key, value)| (key, value))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn config(text: &str) -> Result<Config, CredentialsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    fn server() -> Server {
        Server::new("r.example", "team/model")
    }

    fn found(text: &str) -> Option<Credentials> {
        let found = config(text).unwrap().credentials(&server()).unwrap();
        found.map(|found| found.credentials)
    }

    fn password(user: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Password { user: user.to_owned(), password: password.to_owned() })
    }

    #[test]
    fn credentials_come_in_all_shapes() {
        for (entry, expected) in [
            (r#"{"auth":"bWU6cHc="}"#, password("me", "pw")),
            (r#"{"auth":"bWU6cHc"}"#, password("me", "pw")),
            (r#"{"auth":"bWU6cDp3AAA="}"#, password("me", "p:w")),
            (r#"{"username":"me","password":"pw","email":"x"}"#, password("me", "pw")),
            (r#"{"auth":"","username":"me","password":"pw"}"#, password("me", "pw")),
            (r#"{"auth":"bWU6\r\ncHc=\n"}"#, password("me", "pw")),
            (r#"{"auth":"bWU6"}"#, None),
            ("{}", None),
        ] {
            assert_eq!(found(&format!(r#"{{"auths":{{"r.example":{entry}}}}}"#)), expected, "{entry}");
        }
        let token = found(r#"{"auths":{"https://r.example/v1/":{"auth":"bWU6","identitytoken":"T"}}}"#);
        assert_eq!(token, Some(Credentials::IdentityToken { user: "me".to_owned(), token: "T".to_owned() }));
        assert_eq!(found(""), None);
        assert_eq!(found(r#"{"auths":null}"#), None);
    }

    #[test]
    fn the_most_specific_entry_counts() {
        let entry = |name: &str| json!({"username": name, "password": "pw"});
        let text = json!({"auths": {
            "r.example/team/model/x": entry("below"),
            "https://r.example": entry("other spelling"),
            "r.example": entry("host"),
            "r.example/team": entry("team"),
            "r.example/tea": entry("no part"),
        }});
        let found = config(&text.to_string()).unwrap();
        let found = |server: &Server| found.credentials(server).unwrap();
        let team = found(&server()).unwrap();
        assert!(team.credentials.user() == "team");
        assert!(matches!(team.origin, Origin::File { key, .. } if key == "r.example/team"));
        assert_eq!(found(&Server::new("r.example", "other")).unwrap().credentials.user(), "host");
        assert_eq!(found(&Server::new("x.example", "team")), None);
    }

    #[test]
    fn faults_are_named_and_quote_nothing() {
        for (text, part) in [
            ("{", "line 1"),
            ("[\"secret\"]", "no JSON object"),
            (r#"{"auths":"secret"}"#, "`auths` is no object"),
            (r#"{"auths":{"r.example":"secret"}}"#, "`r.example`: it is no object"),
            (r#"{"auths":{"r.example":{"auth":"secret!"}}}"#, "`auth` is not the base64"),
            (r#"{"auths":{"r.example":{"auth":"c2VjcmV0"}}}"#, "`auth` does not hold"),
            (r#"{"auths":{"r.example":{"username":1,"password":"secret"}}}"#, "`username` is no string"),
        ] {
            let error = config(text).and_then(|config| config.credentials(&server())).unwrap_err();
            let message = error.to_string();
            assert!(message.contains(part) && message.contains("config.json"), "{message}");
            assert!(!message.contains("secret") && !message.contains("c2Vj"), "{message}");
        }
    }

    #[test]
    fn helpers_are_found_by_server() {
        let text =
            r#"{"credsStore":"all","credHelpers":{"r.example":"own","r.example/team":"","evil":"../x"}}"#;
        let config = config(text).unwrap();
        assert_eq!(config.helper(&Server::new("r.example", "a")).unwrap().as_deref(), Some("own"));
        assert_eq!(config.helper(&server()).unwrap(), None, "an empty name is none");
        assert_eq!(config.helper(&Server::new("other", "a")).unwrap().as_deref(), Some("all"));
        assert!(config.helper(&Server::new("evil", "a")).is_err());
    }

    #[test]
    fn what_is_not_understood_is_kept() {
        let text =
            r#"{"psFormat":"x","auths":{"https://r.example":{"auth":"YTpi","email":"e"},"o":{"x":1}}}"#;
        let mut config = config(text).unwrap();
        let credentials = password("me", "pw").unwrap();
        config.insert(&server(), &credentials).unwrap();
        let expected = json!({"psFormat": "x", "auths": {
            "r.example": {"auth": "bWU6cHc=", "email": "e"}, "o": {"x": 1}}});
        assert_eq!(Value::Object(config.content.clone()), expected);
        assert!(config.remove(&server()).unwrap() && !config.remove(&server()).unwrap());
        assert_eq!(config.credentials(&server()).unwrap(), None);
        let token = Credentials::IdentityToken { user: String::new(), token: "T".to_owned() };
        config.insert(&server(), &token).unwrap();
        assert_eq!(config.credentials(&server()).unwrap().unwrap().credentials, token);
    }
}
