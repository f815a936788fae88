//! URLs as they are shown, in the log and to whoever runs a command: without the user and the password
//! that they may hold.

use std::borrow::Cow;

use reqwest::Url;

/// The URL without user and password.
pub fn without_user(mut url: Url) -> Url {
    // Fails only for a URL that cannot hold them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

/// Whether the URL has a user or a password.
pub fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// A setting that may be a URL, perhaps one with a mistake in it.
pub fn shown(text: &str) -> Cow<'_, str> {
    match Url::parse(text) {
        Ok(url) if url.scheme() == "mailto" => text.into(),
        Ok(url) if has_user(&url) => String::from(without_user(url)).into(),
        Ok(url) if url.has_host() => text.into(),
        // It is unclear where a user would begin.
        _ => match text.rsplit_once('@') {
            Some((before, rest)) if before.contains(':') => format!("…@{rest}").into(),
            _ => text.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_not_shown() {
        for (text, expected) in [
            ("https://gate:hunter2@host.test/x", "https://host.test/x"),
            ("https://gate@host.test", "https://host.test/"),
            ("https://:hunter2@host.test", "https://host.test/"),
            ("ftp://gate:hunter2@host.test/", "ftp://host.test/"),
            ("https://gate:hunter2/@host.test", "…@host.test"),
            ("https//gate:hunter2@host.test", "…@host.test"),
            ("gate:hunter2@host.test", "…@host.test"),
            ("gate:hunter2@a@host.test", "…@host.test"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn other_text_is_shown_as_it_is() {
        for text in [
            "",
            "https://host.test",
            "https://host.test/@me?to=a:b@c",
            "mailto:help@example.com?subject=x",
            "ann@example.com",
            "127.0.0.1:8090",
            "urn:label-studio",
        ] {
            assert_eq!(shown(text), text);
        }
    }
}
