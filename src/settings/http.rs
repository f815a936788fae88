//! `[http]`: the service's own listeners and their limits.

use schemars::JsonSchema;
use serde::Deserialize;

use super::input::Input;
use super::types::{Address, Milliseconds, Network, Seconds};

/// The service's own listeners and their limits.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Http {
    /// Address and port on which the proxy reaches the gate. Nothing else should be able to.
    #[schemars(extend("x-restart" = true, "default" = "127.0.0.1:8090"))]
    pub listen: Address,
    /// Worker threads. 0: one per processor.
    #[schemars(range(max = 1024), extend("x-restart" = true, "default" = 0))]
    pub workers: usize,
    /// How long an idle connection from the proxy stays open. nginx, and Envoy with the files here, let
    /// go of theirs after 60 s.
    #[schemars(range(min = 1, max = 3600), extend("x-restart" = true, "default" = 75))]
    pub keep_alive_seconds: Seconds,
    /// How long open requests may take to finish after SIGTERM.
    #[schemars(range(max = 3600), extend("x-restart" = true, "default" = 20))]
    pub shutdown_seconds: Seconds,
    /// Maximum number of connections per worker. Fewer if the limit on open files is low.
    #[schemars(range(min = 1, max = 1_000_000), extend("x-restart" = true, "default" = 10_000))]
    pub max_connections: usize,
    /// Kinds of proxy whose check routes exist.
    #[schemars(length(min = 1), extend("x-restart" = true, "default" = ["nginx"]))]
    pub proxies: Vec<Proxy>,
    /// Addresses and networks of the proxies. Only their `X-Real-IP` counts as the peer's address.
    #[schemars(extend("default" = ["127.0.0.0/8", "::1"]))]
    pub trusted_proxies: Vec<Network>,
    /// A second address, which alone serves checks, health and metrics, so that the public routes
    /// can be exposed without them. Empty: `http.listen` serves everything.
    #[schemars(extend("x-restart" = true))]
    pub internal_listen: Option<Address>,
    /// Time limit for a decision: waiting for a connection, statements, key server and host
    /// application together. Then the answer is 503. The proxy's own limit should be a little longer,
    /// so that it asks another gate only if this one does not answer.
    #[schemars(range(min = 100, max = 60_000), extend("default" = 3000))]
    pub decision_timeout_ms: Milliseconds,
    /// Time limit for receiving a request's body.
    #[schemars(range(min = 1, max = 300), extend("default" = 10))]
    pub body_timeout_seconds: Seconds,
}

impl Http {
    /// Refuses two listeners that cannot both be bound.
    pub(super) fn check(&self, input: &mut Input) {
        let (listen, Some(internal)) = (&self.listen, &self.internal_listen) else {
            return;
        };
        // The system chooses port 0.
        let same_port = listen.port() == internal.port() && listen.port() != 0;
        let is_any = listen.ip().is_unspecified() || internal.ip().is_unspecified();
        let same_family = listen.is_ipv4() == internal.is_ipv4();
        if same_port && (listen.ip() == internal.ip() || is_any && same_family) {
            let why = "must be another address than http.listen, or have another port";
            input.refuse("http.internal_listen", why);
        }
    }
}

/// A kind of proxy, by how it asks and how it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Proxy {
    /// nginx's `auth_request`.
    Nginx,
    /// The `auth-url` annotation of ingress-nginx.
    IngressNginx,
    /// Caddy's `forward_auth`, and HAProxy with the shipped Lua file.
    Caddy,
    /// Traefik's ForwardAuth.
    Traefik,
    /// Envoy's `ext_authz` over HTTP.
    Envoy,
}
