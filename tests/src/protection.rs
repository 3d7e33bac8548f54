//! Registries behind everything that protects one, and what is needed to talk to each.

use crate::command::{BundleCommand, CommandOutput};
use crate::project::TestProject;
use crate::proxy::Proxy;
use crate::registry::{Generation, PASSWORD, Registry, RegistryClient, RegistrySetup, USER};
use crate::tls::{Authority, Certified};
use crate::token_server::TokenServer;

/// What protects a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Nothing: anyone may read and write, without TLS.
    Open,
    /// Basic authentication, without TLS.
    Htpasswd,
    /// TLS, and basic authentication.
    Tls,
    /// The tokens of a token server, without TLS.
    Token,
}

impl Protection {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Open, Self::Htpasswd, Self::Tls, Self::Token];

    /// Whether the registry wants a login.
    pub fn is_private(self) -> bool {
        self != Self::Open
    }
}

/// A registry, and what is needed to talk to it.
pub struct ProtectedRegistry {
    /// Which program it is.
    pub generation: Generation,
    /// What protects it.
    pub protection: Protection,
    /// The registry itself.
    pub registry: Registry,
    tls: Option<(Authority, Certified)>,
    tokens: Option<TokenServer>,
}

impl ProtectedRegistry {
    /// Starts it; see [`Registry::get`].
    #[track_caller]
    pub fn start(generation: Generation, protection: Protection) -> Option<Self> {
        let setup = RegistrySetup::new(generation);
        let (mut tls, mut tokens) = (None, None);
        let setup = match protection {
            Protection::Open => setup,
            Protection::Htpasswd => setup.with_password(),
            Protection::Tls => {
                let authority = Authority::new();
                let certified = authority.certify(&["127.0.0.1"]);
                let (_, certified) = tls.insert((authority, certified));
                setup.with_tls(certified).with_password()
            }
            Protection::Token => setup.with_tokens(tokens.insert(TokenServer::start())),
        };
        Some(Self { generation, protection, registry: setup.start()?, tls, tokens })
    }

    /// Where it listens: `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        self.registry.host()
    }

    /// Who gives its tokens, where it takes any.
    pub fn tokens(&self) -> Option<&TokenServer> {
        self.tokens.as_ref()
    }

    /// A proxy in front of it, which speaks TLS where the registry does.
    pub fn proxy(&self) -> Proxy {
        match &self.tls {
            Some((authority, certified)) => Proxy::start_with_tls(self.host(), certified, authority),
            None => Proxy::start(self.host()),
        }
    }

    /// Talks to it past the program, as [`USER`], to read in `repository`.
    pub fn client(&self, repository: &str) -> RegistryClient {
        let client = self.registry.client();
        match (&self.tls, &self.tokens) {
            (Some((authority, _)), _) => client.trusting(authority),
            (_, Some(tokens)) => client.with_token(&tokens.token(&format!("repository:{repository}:pull"))),
            (None, None) => client,
        }
    }

    /// A run of the program, with what TLS takes.
    pub fn command(&self, project: &TestProject, arguments: &[&str]) -> BundleCommand {
        let command = project.command(arguments);
        match &self.tls {
            Some((authority, _)) => command.arg("--ca-file").arg(authority.certificate()),
            None => command,
        }
    }

    /// Runs the program, with what TLS takes.
    #[must_use = "check the exit code with .success() or .code(n)"]
    pub fn run(&self, project: &TestProject, arguments: &[&str]) -> CommandOutput {
        self.command(project, arguments).run()
    }

    /// Runs the program, which is told of [`USER`] where the registry wants a login.
    #[must_use = "check the exit code with .success() or .code(n)"]
    pub fn run_as_user(&self, project: &TestProject, arguments: &[&str]) -> CommandOutput {
        let command = self.command(project, arguments);
        let command = if self.protection.is_private() {
            command.env("MODELOPS_BUNDLE_USERNAME", USER).env("MODELOPS_BUNDLE_PASSWORD", PASSWORD)
        } else {
            command
        };
        command.run()
    }
}
