//! Who may be told what: which challenges are answered, and which secret goes to which address. Nothing is sent here.
//!
//! Basic and bearer challenges (RFC 7617, RFC 6750). Requests get nothing at first, then what the registry's challenge
//! asks for; `login.rs` does that.

use std::sync::Arc;

use reqwest::Url;
use reqwest::header::HeaderValue;
use tokio::sync::{Mutex, OnceCell};

use super::address::{self, Repository};
use super::challenge::{self, RawChallenge};
use super::scope::Scopes;
use super::secret_header::basic;
use super::token::{TokenServer, Tokens};
use crate::credentials::server::Server;
use crate::credentials::{Audience, Credentials, CredentialsError, Found, Origin};
use crate::{Login, Notice, Notices, RemoteOptions, Transport, Verification};

/// What is known about how to log in at one registry.
pub(super) struct Auth {
    origin: Url,
    server: Server,
    /// Whether what the registry says may have been said by somebody on the way.
    channel: ChannelSecurity,
    login: Login,
    /// The credentials, or why they could not be looked up; looked up once.
    lookup: OnceCell<Result<Option<Found>, Arc<CredentialsError>>>,
    notices: Arc<dyn Notices>,
    /// Locked while a token is fetched, so that others wait for that one.
    pub(super) known: Mutex<Known>,
}

/// Who may be listening and speaking on the way to the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChannelSecurity {
    /// Nobody: TLS with a certificate that is checked, or this machine itself.
    Private,
    /// Anybody, and the user said that he does not mind.
    Open,
    /// Anybody.
    Refused,
}

/// What the registry asked for.
pub(super) enum Known {
    /// Nothing yet.
    Nothing,
    /// A user and a password, in this header.
    Basic(HeaderValue),
    /// Tokens.
    Bearer(Bearer),
}

/// The tokens for a registry, and where they come from.
pub(super) struct Bearer {
    pub(super) server: TokenServer,
    pub(super) tokens: Tokens,
    /// The identity token that came with the last token, which goes before that of the credentials.
    pub(super) refresh: Option<String>,
}

/// A registry's challenge.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { server: TokenServer, scopes: Scopes },
}

/// Whether a token server gets to see the user's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    Trusted,
    Withheld,
}

impl Auth {
    pub(super) fn new(repository: &Repository, options: &RemoteOptions) -> Self {
        let origin = repository.base().clone();
        let is_verified = options.tls.verification == Verification::Full;
        let channel = match origin.scheme() {
            _ if address::is_loopback(&origin) => ChannelSecurity::Private,
            "https" if is_verified => ChannelSecurity::Private,
            "https" => ChannelSecurity::Open,
            _ if options.transport == Transport::PlainHttp => ChannelSecurity::Open,
            _ => ChannelSecurity::Refused,
        };
        Self {
            server: Server::new(&repository.host, &repository.name),
            origin,
            channel,
            login: options.login.clone(),
            lookup: OnceCell::new(),
            notices: Arc::clone(&options.notices),
            known: Mutex::new(Known::Nothing),
        }
    }

    /// Whether a URL is the registry's own: no other one ever gets an `Authorization`.
    pub(super) fn is_own(&self, url: &Url) -> bool {
        address::same_origin(url, &self.origin)
    }

    /// The credentials, if there are any; looked up once, when a registry first wants a login.
    pub(super) async fn lookup(&self) -> Result<Option<&Found>, Arc<CredentialsError>> {
        let looked_up = self.lookup.get_or_init(|| async {
            let found = match &self.login {
                Login::Anonymous => None,
                Login::As(credentials) => {
                    Some(Found { credentials: credentials.clone(), origin: Origin::Given })
                }
                Login::Stored(store) => store.find(&self.server).await.map_err(Arc::new)?,
            };
            if let Some(Origin::Variables { user, audience: Audience::Anyone, .. }) =
                found.as_ref().map(|found| &found.origin)
            {
                let host = self.server.host().to_owned();
                self.notices.note(&Notice::CredentialsForAnyone { host, variable: user });
            }
            Ok(found)
        });
        looked_up.await.as_ref().map(Option::as_ref).map_err(Arc::clone)
    }

    /// The credentials for reading: none where they cannot be looked up, of which the user is told.
    pub(super) async fn reader(&self) -> Option<&Found> {
        let failed_before = self.lookup_failure().is_some();
        self.lookup().await.unwrap_or_else(|why| {
            if !failed_before {
                self.notices.note(&Notice::Anonymous { host: self.server.host().to_owned(), why });
            }
            None
        })
    }

    /// The credentials, if they were looked up.
    pub(super) fn known_credentials(&self) -> Option<&Found> {
        self.lookup.get()?.as_ref().ok()?.as_ref()
    }

    /// Why the credentials could not be looked up, if they could not.
    pub(super) fn lookup_failure(&self) -> Option<&Arc<CredentialsError>> {
        self.lookup.get()?.as_ref().err()
    }

    /// Understands the challenges that came from `url`; `None` where there is none that can be answered.
    ///
    /// A bearer challenge goes first: a registry that gives tokens takes little else.
    pub(super) fn challenge<'h>(
        &self,
        url: &Url,
        headers: impl Iterator<Item = &'h str>,
    ) -> Option<Challenge> {
        if !self.is_own(url) {
            return None;
        }
        let challenges: Vec<RawChallenge> = headers.flat_map(challenge::parse).collect();
        let of_scheme =
            |scheme: &'static str| challenges.iter().filter(move |c| c.scheme.eq_ignore_ascii_case(scheme));
        let bearer = of_scheme("bearer").find_map(|bearer| self.bearer(bearer));
        bearer.or_else(|| of_scheme("basic").next().map(|_| Challenge::Basic))
    }

    fn bearer(&self, challenge: &RawChallenge) -> Option<Challenge> {
        let realm = address::resolve(&self.origin, challenge.value("realm")?).ok()?;
        let service = challenge.value("service").map(str::to_owned);
        let scopes = Scopes::parse(challenge.value("scope").unwrap_or_default());
        Some(Challenge::Bearer { server: TokenServer { realm, service }, scopes })
    }

    /// The header of basic authentication, where nobody listens or the user does not mind.
    pub(super) fn basic(&self, credentials: &Credentials) -> Option<HeaderValue> {
        if self.channel == ChannelSecurity::Refused { None } else { basic(credentials) }
    }

    /// Whether a token server gets to see the user's credentials: the registry's own host does, and so does another one
    /// that the registry itself names, over a connection that nobody can tamper with on either side.
    pub(super) fn trust(&self, server: &TokenServer) -> Trust {
        let realm = &server.realm;
        let is_own_host = realm.host_str() == self.origin.host_str();
        let is_local = address::is_loopback(realm) && address::is_loopback(&self.origin);
        let is_trusted = match self.channel {
            ChannelSecurity::Refused => false,
            ChannelSecurity::Open => is_own_host,
            ChannelSecurity::Private if is_local => true,
            // A certificate for a bare address says nothing about who that is.
            ChannelSecurity::Private => {
                realm.scheme() == "https" && (is_own_host || realm.domain().is_some())
            }
        };
        if is_trusted { Trust::Trusted } else { Trust::Withheld }
    }

    /// Cuts from a registry's own words whatever it was told in secret.
    pub(super) fn conceal(&self, message: String, sent: Option<&HeaderValue>) -> String {
        let sent = sent.and_then(|header| header.to_str().ok()?.split_once(' '));
        let secrets = sent.map(|(_, token)| token).into_iter();
        let secrets = secrets.chain(self.known_credentials().map(|found| found.credentials.secret()));
        let shows = |secret: &str| !secret.is_empty() && message.contains(secret);
        if secrets.into_iter().any(shows) { String::new() } else { message }
    }
}

impl Auth {
    /// Whether the registry has asked for a login, and one was tried.
    pub(super) async fn has_logged_in(&self) -> bool {
        !matches!(&*self.known.lock().await, Known::Nothing)
    }
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("server", &self.server).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TlsOptions;

    fn credentials() -> Credentials {
        Credentials::Password { user: "me".to_owned(), password: "pw".to_owned() }
    }

    fn auth(host: &str, transport: Transport, verification: Verification) -> Auth {
        let repository = Repository::new(host, "a/b", transport).unwrap();
        let mut tls = TlsOptions::default();
        tls.verification = verification;
        let login = Login::As(credentials());
        Auth::new(&repository, &RemoteOptions { login, tls, transport, ..RemoteOptions::default() })
    }

    fn secure() -> Auth {
        auth("r.example", Transport::Secure, Verification::Full)
    }

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn only_the_registrys_own_challenges_are_understood() {
        let auth = secure();
        let challenge = |from: &str, text: &str| auth.challenge(&url(from), [text].into_iter());
        let own = "https://r.example/v2/a/b/tags/list";
        assert_eq!(challenge(own, r#"Basic realm="x""#), Some(Challenge::Basic));
        let text = r#"Bearer realm="/token",service="s",scope="repository:a/b:pull""#;
        let server = TokenServer { realm: url("https://r.example/token"), service: Some("s".to_owned()) };
        let scopes = Scopes::parse("repository:a/b:pull");
        assert_eq!(challenge(own, text), Some(Challenge::Bearer { server, scopes }));
        for other in ["http://r.example/v2/", "https://r.example:444/", "https://x.example/"] {
            assert_eq!(challenge(other, r#"Basic realm="x""#), None, "{other}");
            assert!(!auth.is_own(&url(other)));
        }
        let both = r#"Bearer service="no realm", Basic realm="x""#;
        assert_eq!(challenge(own, both), Some(Challenge::Basic));
        for text in [r#"Bearer realm="http://auth.example/token""#, "Bearer", "Negotiate", "", ",,="] {
            assert_eq!(challenge(own, text), None, "{text}");
        }
    }

    #[test]
    fn a_password_goes_only_where_nobody_listens() {
        assert_eq!(secure().basic(&credentials()).unwrap().to_str().unwrap(), "Basic bWU6cHc=");
        assert!(secure().basic(&credentials()).unwrap().is_sensitive());
        assert!(auth("r.example", Transport::PlainHttp, Verification::Full).basic(&credentials()).is_some());
        assert!(auth("localhost:5", Transport::Secure, Verification::Full).basic(&credentials()).is_some());
        let token = Credentials::IdentityToken { user: String::new(), token: "T".to_owned() };
        assert!(secure().basic(&token).is_none());
    }

    #[test]
    fn a_token_server_is_trusted_as_far_as_the_channel_to_the_registry_is_secure() {
        let (plain, loopback) = (Transport::PlainHttp, "127.0.0.1:5000");
        for (auth, realm, trust) in [
            (secure(), "https://r.example/token", Trust::Trusted),
            (secure(), "https://r.example:8443/token", Trust::Trusted),
            (secure(), "https://auth.example/token?x=1", Trust::Trusted),
            (secure(), "https://192.0.2.1/token", Trust::Withheld),
            (secure(), "https://[2001:db8::1]/token", Trust::Withheld),
            (
                auth("192.0.2.1", Transport::Secure, Verification::Full),
                "https://192.0.2.1:5/",
                Trust::Trusted,
            ),
            (auth("r.example", Transport::Secure, Verification::Off), "https://r.example/", Trust::Trusted),
            (auth("r.example", Transport::Secure, Verification::Off), "https://a.example/", Trust::Withheld),
            (auth("r.example", plain, Verification::Full), "http://r.example:5001/", Trust::Trusted),
            (auth("r.example", plain, Verification::Full), "https://auth.example/", Trust::Withheld),
            (auth(loopback, Transport::Secure, Verification::Full), "http://127.0.0.1:6/", Trust::Trusted),
            (auth(loopback, Transport::Secure, Verification::Full), "http://a.example/", Trust::Withheld),
            (auth(loopback, Transport::Secure, Verification::Full), "https://a.example/", Trust::Trusted),
        ] {
            let server = TokenServer { realm: url(realm), service: None };
            assert_eq!(auth.trust(&server), trust, "{realm}");
        }
    }

    #[tokio::test]
    async fn a_secret_that_comes_back_is_concealed() {
        let auth = secure();
        let _ = auth.lookup().await.unwrap();
        let sent = HeaderValue::from_static("Bearer T0ken");
        assert_eq!(auth.conceal("no T0ken".to_owned(), Some(&sent)), "");
        assert_eq!(auth.conceal("pw is wrong".to_owned(), None), "");
        assert_eq!(auth.conceal("it is wrong".to_owned(), Some(&sent)), "it is wrong");
        assert!(!format!("{auth:?}").contains("pw"));
    }
}
