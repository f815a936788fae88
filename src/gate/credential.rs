//! Stage 2: request → credentials.
//!
//! In: the subrequest. Out: its credentials, in the order in which they are tried: what a proxy in
//! front says in a header, because it knows who is there; the token from the cookie, then
//! the token from the query parameter (the plugin's order), then the host application's session.
//! Afterwards, a token from the query has the shape of a JWT, because a `token` parameter may also be
//! Label Studio's own (`/user/signup?token=…` is an invitation link).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::observer::Steps;
use super::subrequest::{Asserted, Subrequest, UnsignedHeaders};

/// Where requests carry credentials.
#[derive(Debug, Clone)]
pub struct CredentialSources {
    /// Name of the token's cookie (`JWT_SSO_COOKIE_NAME`); `None` if tokens don't come in cookies.
    pub cookie: Option<String>,
    /// Name of the query parameter (`JWT_SSO_TOKEN_PARAM`).
    pub parameter: String,
    /// Name of the host application's session cookie (`JWT_SSO_SESSION_COOKIE_NAME`); `None` if
    /// method 3 is disabled.
    pub application_cookie: Option<String>,
}

/// A credential that is not yet verified.
#[derive(PartialEq, Eq)]
pub enum Credential<'r> {
    /// A token in compact form.
    Token(Cow<'r, str>),
    /// A token in compact form that a proxy in front sends with every request.
    Asserted(&'r str),
    /// Headers without a signature that a proxy in front sends with every request.
    Unsigned(UnsignedHeaders<'r>),
    /// The host application's session cookie.
    ApplicationSession(&'r str),
}

/// Shows the length but never the content.
impl std::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, length) = match self {
            Self::Token(token) => ("Token", token.len()),
            Self::Asserted(token) => ("Asserted", token.len()),
            Self::Unsigned(_) => return f.write_str("Unsigned"),
            Self::ApplicationSession(cookie) => ("ApplicationSession", cookie.len()),
        };
        write!(f, "{kind}({length} bytes)")
    }
}

impl<'r> Credential<'r> {
    /// Whether a proxy in front sends it with every request.
    pub const fn is_asserted(&self) -> bool {
        matches!(self, Self::Asserted(_) | Self::Unsigned(_))
    }

    /// Tells where [`find`](Self::find) looks, and what is there.
    pub fn note_sources(
        subrequest: &Subrequest<'_>,
        sources: &CredentialSources,
        steps: Steps<'_>,
    ) {
        if !steps.are_wanted() {
            return;
        }
        let found = |there| if there { "found" } else { "none" };
        if let Some(asserted) = subrequest.asserted() {
            steps.note(format_args!("a proxy in front asserts {asserted:?}"));
        }
        let has_cookie = |name| found(subrequest.cookies().find(name).occurs);
        if let Some(name) = &sources.cookie {
            let found = has_cookie(name);
            steps.note(format_args!("looked for a token in cookie {name}: {found}"));
        }
        let name = &sources.parameter;
        let given = subrequest.query().and_then(|query| parameter(query, name));
        let found = match given {
            None => "none",
            Some(value) if has_jwt_shape(&value) => "found",
            Some(_) => "something else",
        };
        steps.note(format_args!(
            "looked for a token in parameter {name}: {found}"
        ));
        if let Some(name) = &sources.application_cookie {
            let found = has_cookie(name);
            steps.note(format_args!(
                "looked for a session in cookie {name}: {found}"
            ));
        }
    }

    /// The token in the query of the request.
    pub fn in_query(
        subrequest: &'r Subrequest<'_>,
        sources: &CredentialSources,
    ) -> Option<Cow<'r, str>> {
        let value = parameter(subrequest.query()?, &sources.parameter);
        value.filter(|value| has_jwt_shape(value))
    }

    /// Finds the request's credentials, in the order in which they are tried. `token_cookie` and
    /// `application_sessions` are the values of its cookies.
    pub fn find(
        subrequest: &'r Subrequest<'_>,
        sources: &CredentialSources,
        token_cookie: Option<&'r str>,
        application_sessions: impl IntoIterator<Item = &'r str>,
    ) -> impl Iterator<Item = Self> {
        let cookie = token_cookie
            .filter(|value| !value.is_empty())
            .map(|value| Self::Token(Cow::Borrowed(value)));
        let parameter = Self::in_query(subrequest, sources).map(Self::Token);
        let asserted = match subrequest.asserted() {
            Some(Asserted::Token(token)) => Some(Self::Asserted(token)),
            Some(Asserted::Unsigned(headers)) => Some(Self::Unsigned(headers)),
            Some(Asserted::Ambiguous) | None => None,
        };
        asserted.into_iter().chain(cookie).chain(parameter).chain(
            application_sessions
                .into_iter()
                .map(Self::ApplicationSession),
        )
    }
}

/// The value of the query parameter. The last one wins, as in Django's `QueryDict`.
///
/// The name is matched literally, without percent-decoding: no client encodes it, and the proxy
/// configuration that keeps tokens out of the access log matches the same letters.
fn parameter<'r>(query: &'r str, name: &str) -> Option<Cow<'r, str>> {
    let value = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        .next_back()?;
    percent_decode_str(value).decode_utf8().ok()
}

/// Returns the token in the query of `uri`, and `uri` without it. Removes every occurrence.
pub fn cut_out(uri: &str, name: &str) -> Option<(String, String)> {
    let (path, query) = uri.split_once('?')?;
    let token = parameter(query, name).filter(|value| has_jwt_shape(value))?;
    let is_token = |pair: &&str| {
        pair.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('='))
    };
    let rest: Vec<&str> = query.split('&').filter(|pair| !is_token(pair)).collect();
    let clean = match rest.join("&") {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    };
    Some((token.into_owned(), clean))
}

/// Whether the value has three base64url parts (RFC 7515 §7.1). The third, the signature, is empty
/// in an unsecured token.
fn has_jwt_shape(value: &str) -> bool {
    let is_base64url = |part: &str| {
        part.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let mut parts = value.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    !header.is_empty()
        && !payload.is_empty()
        && [header, payload, signature].into_iter().all(is_base64url)
}

#[cfg(test)]
mod tests {
    use super::super::subrequest::CookieHeader;
    use super::*;

    fn found(uri: &str, cookie: &str) -> Vec<String> {
        let cookies = CookieHeader::new(std::iter::once(cookie.as_bytes()));
        let subrequest = Subrequest::new(uri, cookies, None).expect("test URIs are readable");
        let sources = CredentialSources {
            cookie: Some("ls_auth_token".to_owned()),
            parameter: "token".to_owned(),
            application_cookie: None,
        };
        let token = subrequest.cookies().get("ls_auth_token");
        Credential::find(&subrequest, &sources, token, None)
            .map(|credential| match credential {
                Credential::Token(token) => token.into_owned(),
                other => unreachable!("there is no {other:?}"),
            })
            .collect()
    }

    #[test]
    fn cookie_takes_precedence_over_parameter() {
        assert_eq!(
            found("/?token=a.b.c", "x=1; ls_auth_token=d.e.f"),
            ["d.e.f", "a.b.c"]
        );
        assert_eq!(found("/?x=1&token=a.b.c", ""), ["a.b.c"]);
        assert_eq!(found("/", "ls_auth_token="), [""; 0]);
    }

    #[test]
    fn any_cookie_value_counts_as_a_token() {
        assert_eq!(found("/", "ls_auth_token=rubbish"), ["rubbish"]);
    }

    #[test]
    fn parameter_counts_as_a_token_only_in_jwt_shape() {
        for query in [
            "token=ZxGq3ItFbKpN8s2mUoYw1cRvTnLhEdAaJiQyXkPj",
            "token=",
            "token=a.b",
            "token=a.b.c.d",
            "token=a..c",
            "token=a.b.c%20",
            "token=a.b.c/",
            "token=%ff.b.c",
            "tokens=a.b.c",
            "xtoken=a.b.c",
        ] {
            assert_eq!(
                found(&format!("/user/signup?{query}"), ""),
                [""; 0],
                "{query}"
            );
        }
        assert_eq!(found("/?token=a%2Eb%2ec", ""), ["a.b.c"]);
        assert_eq!(found("/?token=a.b.", ""), ["a.b."]);
    }

    #[test]
    fn cut_out_removes_the_token_from_the_uri() {
        for (uri, expected) in [
            ("/?token=a.b.c", Some("/")),
            ("/p/1?tab=2&token=a.b.c&x=%20", Some("/p/1?tab=2&x=%20")),
            ("/p?token=a.b.c&token=d.e.f", Some("/p")),
            ("/p?tokens=1&token=a.b.c", Some("/p?tokens=1")),
            ("/user/signup?token=invitation", None),
            ("/p?x=token=a.b.c", None),
            ("/p", None),
        ] {
            let clean = cut_out(uri, "token").map(|(_, clean)| clean);
            assert_eq!(clean.as_deref(), expected, "{uri}");
        }
    }

    #[test]
    fn last_parameter_wins() {
        assert_eq!(found("/?token=a.b.c&token=d.e.f", ""), ["d.e.f"]);
    }
}
