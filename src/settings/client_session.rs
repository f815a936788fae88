//! `[client_session]`: the API of the client's application, and whether its cookie can be told from Label Studio's.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::reader::Reader;
use super::session::{self, Session};
use crate::gate::identity::{Admission, PersonRules};
use crate::outgoing::Limits;

/// Longer answers no API gives about one person.
const MAX_BYTES: usize = 65_536;

/// Method 3.
#[derive(Debug)]
pub struct ClientSession {
    /// The API.
    pub verify_url: Url,
    /// `X-Verify-Token`
    pub verify_secret: SecretString,
    /// The application's session cookie.
    pub cookie_name: String,
    /// How long an answer is remembered.
    pub cache_ttl: Duration,
    /// What asking may take.
    pub limits: Limits,
    /// Whom the answers speak of, and what may be done for them.
    pub rules: PersonRules,
}

impl ClientSession {
    pub(super) fn read(reader: &mut Reader, session: &Session) -> Option<Self> {
        let rules = PersonRules {
            email: reader.text("client_session.email_field"),
            username: reader.optional("client_session.username_field"),
            first_name: reader.text("client_session.first_name_field"),
            last_name: reader.text("client_session.last_name_field"),
            unverified_email: false,
            admission: Admission {
                create: reader.flag("client_session.create_users"),
                update_names: reader.flag("client_session.update_names"),
                privileged: reader.flag("client_session.allow_privileged"),
            },
        };
        let limits = Limits {
            timeout: reader.seconds("client_session.verify_timeout_seconds", 1..=60),
            max_bytes: MAX_BYTES,
            redirects: 0,
            // It is the operator's own network, as in the guide's example.
            allow_http: true,
            ca_file: reader.optional("client_session.ca_file").map(PathBuf::from),
        };
        let cache_ttl = reader.seconds("client_session.cache_ttl_seconds", 0..=86_400);
        let verify_secret = reader.secret("client_session.verify_secret");
        let cookie_name = reader.text("client_session.cookie_name");
        let domain = reader.optional("client_session.cookie_domain");
        let path = reader.text("client_session.cookie_path");
        let url = reader.optional("client_session.verify_url")?;
        session::check_name(reader, "client_session.cookie_name", &cookie_name);
        session::check_path(reader, "client_session.cookie_path", &path);
        if let Some(domain) = &domain {
            session::check_domain(reader, "client_session.cookie_domain", domain);
        }
        check_cookies(reader, session, &cookie_name, domain.as_deref(), &path);
        if rules.email.is_empty() && rules.username.is_none() {
            reader.refuse(
                "client_session.email_field",
                "must not be empty, unless there is a username_field",
            );
        }
        let secret = verify_secret.expose_secret();
        if secret.is_empty() || !secret.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            reader.refuse(
                "client_session.verify_secret",
                "is required with verify_url, in printable ASCII: by it your API knows that it is the gate who asks",
            );
        }
        let parsed = Url::parse(&url).ok();
        let Some(verify_url) = parsed.filter(|url| matches!(url.scheme(), "http" | "https")) else {
            reader.refuse(
                "client_session.verify_url",
                format!("must be a URL that begins with http:// or https://, and is {url:?}"),
            );
            return None;
        };
        Some(Self {
            verify_url,
            verify_secret,
            cookie_name,
            cache_ttl,
            limits,
            rules,
        })
    }
}

/// A browser keeps one cookie for each name, domain and path (RFC 6265 §5.3, step 11): of two services that set the same one, each would
/// overwrite the other's.
fn check_cookies(
    reader: &mut Reader,
    session: &Session,
    name: &str,
    domain: Option<&str>,
    path: &str,
) {
    if name != session.cookie_name {
        return;
    }
    let bare = |domain: Option<&str>| {
        domain
            .map(|domain| domain.trim_start_matches('.').to_ascii_lowercase())
            .unwrap_or_default()
    };
    let own = bare(session.cookie_domain.as_deref());
    let clients = domain.map_or_else(|| own.clone(), |domain| bare(Some(domain)));
    if own == clients && path == session.cookie_path {
        reader.refuse(
            "client_session.cookie_name",
            format!(
                "is {name:?}, as session.cookie_name, with the same domain and path: your application and Label Studio would overwrite each \
                 other's session. Give your application's cookie another name; or let Label Studio's have another path (nginx: proxy_cookie_path / \
                 /label-studio/; and session.cookie_path); or, if they do have different domains or paths, say so in client_session.cookie_domain \
                 or client_session.cookie_path"
            ),
        );
    }
}
