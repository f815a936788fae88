//! `[client_session]`: method 3, the session of the host application.

use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;
use url::Url;

use super::declaration::declared;
use super::input::{Input, Unread};
use super::session::Session;
use super::types::{CookieDomain, CookieName, CookiePath, HttpUrl, Seconds, Secret};
use crate::gate::identity::{Admission, ClaimMapping};
use crate::http_client::Limits;

/// Maximum size of the API's answer about one user.
const MAX_BYTES: usize = 65_536;

/// Method 3: the session of your application. The gate sends its cookie to an API of your
/// application, which answers with the user.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ClientSessionSection {
    /// The API. It receives the cookie and, in `X-Verify-Token`, the secret, and answers
    /// `{"email": …}` or 401. Empty: method 3 is off.
    #[schemars(extend("x-env" = ["JWT_SSO_SESSION_VERIFY_URL"]))]
    verify_url: Option<HttpUrl>,
    #[serde(flatten)]
    settings: ClientSessionSettings,
}

/// What matters if method 3 is on.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ClientSessionSettings {
    /// Proves to the API that the gate is asking. Required with `verify_url`.
    #[schemars(extend("x-env" = ["JWT_SSO_SESSION_VERIFY_SECRET"]))]
    pub verify_secret: Secret,
    /// Name of your application's session cookie. If it equals the name of Label Studio's, the
    /// domain or path must differ, or browsers cannot tell the two apart.
    #[schemars(extend("default" = "sessionid", "x-env" = ["JWT_SSO_SESSION_COOKIE_NAME"]))]
    pub cookie_name: CookieName,
    /// Domain that your application sets the cookie with. Empty: the domain of the session cookie.
    pub cookie_domain: Option<CookieDomain>,
    /// Path that your application sets the cookie with.
    #[schemars(extend("default" = "/"))]
    pub cookie_path: CookiePath,
    /// Time limit for the API.
    #[schemars(
        range(min = 1, max = 60),
        extend("default" = 5, "x-env" = ["JWT_SSO_SESSION_VERIFY_TIMEOUT"])
    )]
    pub verify_timeout_seconds: Seconds,
    /// How long an answer is cached. 0: the API is asked on every request.
    #[schemars(
        range(max = 86_400),
        extend("default" = 300, "x-env" = ["JWT_SSO_SESSION_CACHE_TTL"])
    )]
    pub cache_ttl_seconds: Seconds,
    /// Field of the answer with the email address. Dots lead into nested objects, here and below.
    #[schemars(extend("default" = "email", "x-env" = ["JWT_SSO_SESSION_EMAIL_FIELD"]))]
    pub email_field: String,
    /// Field of the answer with the username, which finds users without an email field. Name one
    /// only if your application's users cannot choose the name of somebody else.
    #[schemars(extend("x-env" = ["JWT_SSO_SESSION_USERNAME_FIELD"]))]
    pub username_field: Option<String>,
    /// Field of the answer with the first name.
    #[schemars(extend("default" = "first_name", "x-env" = ["JWT_SSO_SESSION_FIRST_NAME_FIELD"]))]
    pub first_name_field: String,
    /// Field of the answer with the last name.
    #[schemars(extend("default" = "last_name", "x-env" = ["JWT_SSO_SESSION_LAST_NAME_FIELD"]))]
    pub last_name_field: String,
    /// Whether unknown users get an account; needs `sql/role.sql` with `create_users`.
    #[schemars(extend("default" = true, "x-env" = ["JWT_SSO_SESSION_AUTO_CREATE_USERS"]))]
    pub create_users: bool,
    /// Whether first and last name are updated from the answer.
    #[schemars(extend("default" = true))]
    pub update_names: bool,
    /// Whether staff and superusers may sign in this way.
    #[schemars(extend("default" = true))]
    pub allow_privileged: bool,
    /// File with the certificates to trust instead of the system's (PEM).
    pub ca_file: Option<PathBuf>,
}

/// Method 3.
#[derive(Debug)]
pub struct ClientSession {
    /// The API.
    pub verify_url: Url,
    /// The rest of the section.
    pub settings: ClientSessionSettings,
}

impl ClientSession {
    /// `None`: method 3 is off. Its settings are checked only if it is on.
    pub(super) fn new(
        section: ClientSessionSection,
        input: &mut Input,
        session: &Session,
    ) -> Option<Self> {
        let Some(verify_url) = section.verify_url else {
            refuse_unread(input);
            return None;
        };
        section.settings.check(input, session);
        input.check_certificates(
            "client_session.ca_file",
            section.settings.ca_file.as_deref(),
        );
        Some(Self {
            verify_url: (*verify_url).clone(),
            settings: section.settings,
        })
    }

    /// Limits for a request to the API.
    pub fn limits(&self) -> Limits {
        Limits {
            timeout: *self.settings.verify_timeout_seconds,
            max_bytes: MAX_BYTES,
            redirects: 0,
            // The API is usually in the operator's own network, as in the guide's example.
            allow_http: true,
            ca_file: self.settings.ca_file.clone(),
        }
    }

    /// Which user an answer names, and what it permits.
    pub fn mapping(&self) -> ClaimMapping {
        let settings = &self.settings;
        ClaimMapping {
            email_claim: settings.email_field.clone(),
            username_claim: settings.username_field.clone(),
            first_name_claim: settings.first_name_field.clone(),
            last_name_claim: settings.last_name_field.clone(),
            unverified_email: false,
            groups: None,
            admission: Admission {
                create: settings.create_users,
                update_names: settings.update_names,
                privileged: settings.allow_privileged,
            },
        }
    }
}

/// Refuses settings of an API that is not there.
fn refuse_unread(input: &mut Input) {
    let url = "client_session.verify_url";
    if !input.is_unusable(url) {
        let settings = declared::<ClientSessionSettings>();
        input.refuse_unread("client_session", &settings, Unread::Off(url));
    }
}

impl ClientSessionSettings {
    fn check(&self, input: &mut Input, session: &Session) {
        self.check_cookie(input, session);
        if self.email_field.is_empty() && self.username_field.is_none() {
            input.refuse(
                "client_session.email_field",
                "must not be empty, unless there is a username_field",
            );
        }
        let secret = self.verify_secret.expose_secret();
        if secret.is_empty() || !secret.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            input.refuse(
                "client_session.verify_secret",
                "is required with verify_url, in printable ASCII: it proves to your API that the \
                 gate is asking",
            );
        }
    }

    /// A browser keeps one cookie per name, domain and path (RFC 6265 §5.3, step 11). If two
    /// services set the same one, each overwrites the other's.
    fn check_cookie(&self, input: &mut Input, session: &Session) {
        let bare = |domain: &CookieDomain| domain.trim_start_matches('.').to_ascii_lowercase();
        let own = session.cookie_domain.as_ref().map(bare);
        let host_applications = self.cookie_domain.as_ref().map(bare).or(own.clone());
        let differs = self.cookie_name != session.cookie_name
            || host_applications != own
            || self.cookie_path != session.cookie_path;
        if differs {
            return;
        }
        input.refuse(
            "client_session.cookie_name",
            format!(
                "is {:?}, as session.cookie_name, with the same domain and path: your application \
                 and Label Studio would overwrite each other's session. Give your application's \
                 cookie another name; or let Label Studio's have another path (nginx: \
                 proxy_cookie_path / /label-studio/; and session.cookie_path); or, if they do have \
                 different domains or paths, set client_session.cookie_domain or \
                 client_session.cookie_path",
                *self.cookie_name
            ),
        );
    }
}
