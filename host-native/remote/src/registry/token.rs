//! Tokens: how they are asked for, and how long they last. Nothing is sent here.
//!
//! By `GET` (<https://distribution.github.io/distribution/spec/auth/token/>) and by OAuth2 `POST`
//! (<https://distribution.github.io/distribution/spec/auth/oauth/>).

use std::time::{Duration, Instant};

use form_urlencoded::Serializer;
use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::HeaderValue;
use serde_json::{Map, Value};

use super::scope::Scopes;
use super::secret_header::secret;
use crate::RemoteError;

/// What the program calls itself at a token server.
const CLIENT_ID: &str = "modelops-bundle";

/// How long a token lasts whose server does not say, as the specification has it.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);

/// A token is renewed when less than this part of its life is left.
const MARGIN_PART: u32 = 5;

/// A token is never renewed earlier than this before its end.
const LONGEST_MARGIN: Duration = Duration::from_secs(60);

/// Who gives tokens for a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenServer {
    pub(super) realm: Url,
    pub(super) service: Option<String>,
}

/// What a token is given for, in an OAuth2 request.
#[derive(Clone, Copy)]
pub(super) enum Grant<'a> {
    Password { user: &'a str, password: &'a str },
    Refresh { token: &'a str },
}

/// Whether a token is wanted that others can be had for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// For now alone.
    Online,
    /// An identity token as well.
    Offline,
}

impl TokenServer {
    /// The address to `GET` a token at.
    pub(super) fn url(&self, scopes: &Scopes, access: Access) -> Url {
        let mut url = self.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = &self.service {
                query.append_pair("service", service);
            }
            if access == Access::Offline {
                query.append_pair("offline_token", "true").append_pair("client_id", CLIENT_ID);
            }
            for scope in scopes.spelled() {
                query.append_pair("scope", &scope);
            }
        }
        // A realm is left as it is where there is nothing to say.
        if url.query() == Some("") {
            url.set_query(None);
        }
        url
    }

    /// The body to `POST` for a token.
    pub(super) fn form(&self, scopes: &Scopes, grant: Grant<'_>, access: Access) -> String {
        let mut form = Serializer::new(String::new());
        match grant {
            Grant::Password { user, password } => {
                form.append_pair("grant_type", "password");
                form.append_pair("username", user).append_pair("password", password);
            }
            Grant::Refresh { token } => {
                form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token);
            }
        }
        form.append_pair("service", self.service.as_deref().unwrap_or_default());
        form.append_pair("client_id", CLIENT_ID);
        if access == Access::Offline {
            form.append_pair("access_type", "offline");
        }
        let scopes: Vec<String> = scopes.spelled().collect();
        if !scopes.is_empty() {
            form.append_pair("scope", &scopes.join(" "));
        }
        form.finish()
    }
}

/// A token that was given.
pub(super) struct Token {
    pub(super) header: HeaderValue,
    /// When it should be renewed.
    renew_at: Instant,
    /// What the next one can be had for.
    pub(super) refresh: Option<String>,
}

/// A token server's answer. Only what is needed is looked at, and what makes no sense counts as not said.
struct Answer(Map<String, Value>);

impl Answer {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// How long the token lasts: some write the seconds as a text.
    fn life(&self) -> Option<Duration> {
        let seconds = match self.0.get("expires_in")? {
            Value::String(text) => text.trim().parse().ok()?,
            other => other.as_f64()?,
        };
        Duration::try_from_secs_f64(seconds).ok().filter(|life| !life.is_zero())
    }
}

impl Token {
    /// Reads a token server's answer, which came at `now` with the header `date`.
    ///
    /// How old the token was then is told by the server's clock alone, since ours may be wrong.
    pub(super) fn read(
        body: &[u8],
        date: Option<&str>,
        now: Instant,
        host: &str,
    ) -> Result<Self, RemoteError> {
        let fault = |fault: &str| RemoteError::Protocol {
            what: format!("the token server {host}"),
            fault: fault.to_owned(),
        };
        let answer: Map<String, Value> =
            serde_json::from_slice(body).map_err(|_| fault("its answer is not the JSON of a token"))?;
        let answer = Answer(answer);
        let token = answer.text("token").or_else(|| answer.text("access_token"));
        let token = token.ok_or_else(|| fault("its answer holds no token"))?;
        let header =
            secret(&format!("Bearer {token}")).ok_or_else(|| fault("its token holds control characters"))?;
        let life = answer.life().unwrap_or(DEFAULT_LIFE);
        let age = answer.text("issued_at").zip(date).and_then(|(issued, date)| age(issued, date));
        let age = age.unwrap_or_default();
        let rest = life.saturating_sub(age);
        let rest = rest - (rest / MARGIN_PART).min(LONGEST_MARGIN);
        let renew_at = now.checked_add(rest).unwrap_or(now);
        Ok(Self { header, renew_at, refresh: answer.text("refresh_token").map(str::to_owned) })
    }

    fn is_fresh(&self, now: Instant) -> bool {
        now < self.renew_at
    }
}

fn age(issued_at: &str, date: &str) -> Option<Duration> {
    let issued: Timestamp = issued_at.parse().ok()?;
    let date = Timestamp::try_from(httpdate::parse_http_date(date).ok()?).ok()?;
    date.duration_since(issued).try_into().ok()
}

/// The tokens of one registry, by what they are for.
#[derive(Default)]
pub(super) struct Tokens(Vec<(Scopes, Token)>);

impl Tokens {
    /// A token that is good for all of `scopes` and for a while yet; the latest one.
    pub(super) fn find(&self, scopes: &Scopes, now: Instant) -> Option<&HeaderValue> {
        let mut good = self.0.iter().rev().filter(|(own, token)| own.cover(scopes) && token.is_fresh(now));
        good.next().map(|(_, token)| &token.header)
    }

    /// Forgets the token that was sent in this header.
    pub(super) fn drop_refused(&mut self, header: &HeaderValue) {
        self.0.retain(|(_, token)| token.header != *header);
    }

    /// Keeps a token, in place of those that can do no more.
    pub(super) fn keep(&mut self, scopes: Scopes, token: Token) {
        self.0.retain(|(old, _)| !scopes.cover(old));
        self.0.push((scopes, token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Fri, 31 Dec 1999 23:59:59 GMT";

    fn server() -> TokenServer {
        TokenServer {
            realm: "https://auth.example/token?x=1".parse().unwrap(),
            service: Some("r.example".to_owned()),
        }
    }

    fn token(body: &str, now: Instant) -> Token {
        Token::read(body.as_bytes(), Some(DATE), now, "h").unwrap()
    }

    #[test]
    fn requests_are_those_of_the_specification() {
        let scopes = Scopes::parse("repository:a/b:pull,push repository:c:pull");
        assert_eq!(
            server().url(&scopes, Access::Online).as_str(),
            "https://auth.example/token?x=1&service=r.example\
             &scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=repository%3Ac%3Apull"
        );
        let bare = TokenServer { realm: "https://h/t".parse().unwrap(), service: None };
        assert_eq!(bare.url(&Scopes::default(), Access::Online).as_str(), "https://h/t");
        assert_eq!(
            bare.url(&Scopes::default(), Access::Offline).as_str(),
            "https://h/t?offline_token=true&client_id=modelops-bundle"
        );
        let refresh = Grant::Refresh { token: "a&b" };
        assert_eq!(
            server().form(&scopes, refresh, Access::Online),
            "grant_type=refresh_token&refresh_token=a%26b&service=r.example&client_id=modelops-bundle\
             &scope=repository%3Aa%2Fb%3Apull%2Cpush+repository%3Ac%3Apull"
        );
        let password = Grant::Password { user: "me", password: "p w" };
        assert_eq!(
            server().form(&Scopes::default(), password, Access::Offline),
            "grant_type=password&username=me&password=p+w&service=r.example&client_id=modelops-bundle\
             &access_type=offline"
        );
    }

    #[test]
    fn reads_a_token() {
        let now = Instant::now();
        assert_eq!(token(r#"{"token":"t","access_token":"u"}"#, now).header, "Bearer t");
        // What is not needed may be anything.
        let odd =
            r#"{"token":null,"access_token":"t","refresh_token":5,"issued_at":{},"expires_in":[],"scope":1}"#;
        assert_eq!(token(odd, now).header, "Bearer t");
        let token = token(r#"{"access_token":"t","expires_in":3,"refresh_token":"r"}"#, now);
        assert!(token.header == "Bearer t" && token.header.is_sensitive());
        assert_eq!(token.refresh.as_deref(), Some("r"));
        for body in ["{}", "", "[]", r#"{"token":7}"#, "<html>", r#"{"token":""}"#, r#"{"token":"a\nb"}"#] {
            assert!(Token::read(body.as_bytes(), None, now, "h").is_err(), "{body}");
        }
    }

    #[test]
    fn a_token_is_renewed_ahead_of_its_end() {
        let now = Instant::now();
        for (rest, seconds) in [
            ("", 48),
            (r#","expires_in":10"#, 8),
            (r#","expires_in":0"#, 48),
            (r#","expires_in":-5"#, 48),
            (r#","expires_in":3600"#, 3540),
            (r#","expires_in":"3600""#, 3540),
            (r#","expires_in":" 10 ""#, 8),
            (r#","expires_in":10.0"#, 8),
            (r#","expires_in":"10.0""#, 8),
            (r#","expires_in":null"#, 48),
            (r#","expires_in":"soon""#, 48),
            (r#","expires_in":"-5""#, 48),
            (r#","expires_in":"inf""#, 48),
            (r#","expires_in":"NaN""#, 48),
            (r#","expires_in":true"#, 48),
            (r#","expires_in":20,"issued_at":"1999-12-31T23:59:49Z""#, 8),
            (r#","expires_in":10,"issued_at":"2001-01-01T00:00:00Z""#, 8),
            (r#","expires_in":10,"issued_at":"1990-01-01T00:00:00Z""#, 0),
            (r#","expires_in":10,"issued_at":"yesterday""#, 8),
        ] {
            let token = token(&format!(r#"{{"token":"t"{rest}}}"#), now);
            assert_eq!(token.renew_at - now, Duration::from_secs(seconds), "{rest}");
        }
        let _ = token(r#"{"token":"t","expires_in":1e300}"#, now);
    }

    #[test]
    fn tokens_are_kept_by_what_they_are_for() {
        let now = Instant::now();
        let (pull, push) = (Scopes::parse("repository:a:pull"), Scopes::parse("repository:a:pull,push"));
        let mut tokens = Tokens::default();
        tokens.keep(pull.clone(), token(r#"{"token":"pull"}"#, now));
        assert_eq!(tokens.find(&pull, now).unwrap(), "Bearer pull");
        assert!(tokens.find(&push, now).is_none());
        assert!(tokens.find(&pull, now + DEFAULT_LIFE).is_none());
        tokens.keep(push.clone(), token(r#"{"token":"push"}"#, now));
        assert_eq!(tokens.find(&pull, now).unwrap(), "Bearer push");
        assert_eq!(tokens.0.len(), 1);
        tokens.drop_refused(&HeaderValue::from_static("Bearer push"));
        assert!(tokens.find(&pull, now).is_none());
    }
}
