//! What Label Studio's pages tell: where they load their scripts from, and whether anybody can sign
//! up.

use url::Url;

use super::visitor::HTML;
use super::{Answer, Check, Report, Trial, reason};

const LOGIN: &str = "/user/login/";
const PROJECTS: &str = "/projects/";
const SIGN_UP: &str = "/user/signup/";

/// How a page of Label Studio begins the address of its host (`templates/base.html`).
const HOSTNAME: &str = "hostname: \"";

/// What follows the address of the host in the links of every page (`templates/simple.html`).
const STATIC: &str = "/static/";

impl Trial<'_> {
    /// Looks at a page that this visitor may see: `session` is the `Cookie` header of a login, or
    /// empty.
    pub(super) async fn look_at_pages(&mut self, report: &mut Report, session: &str) {
        let page = match session {
            "" => self.visitor.get(LOGIN, HTML, "").await,
            session => self.visitor.get(PROJECTS, HTML, session).await,
        };
        if let Ok(page) = page {
            self.remember(&page);
            self.judge_address(report, &page);
        }
        if let Ok(answer) = self.visitor.get(SIGN_UP, HTML, "").await {
            self.remember(&answer);
            sign_up(report, &answer);
        }
    }

    /// `LABEL_STUDIO_HOST` is in each page. If it is not the address in the browser, scripts and
    /// requests go elsewhere: the page stays blank or reloads forever.
    fn judge_address(&self, report: &mut Report, page: &Answer) {
        let check = Check::PublicAddress;
        let (is_page, base) = (page.status.is_success(), self.visitor.base());
        let Some(host) = hostname(&page.body).filter(|_| is_page && reason(page).is_none()) else {
            return report.note(
                check,
                "no page of Label Studio could be seen: did not check LABEL_STUDIO_HOST",
            );
        };
        let expected = base.as_str().trim_end_matches('/');
        let is_same = match host.as_str() {
            // Without it, pages load their scripts from the root of the host that they come from.
            "" => base.path() == "/",
            host => Url::parse(host).is_ok_and(|url| {
                url.origin() == base.origin()
                    && url.path().trim_end_matches('/') == base.path().trim_end_matches('/')
            }),
        };
        match is_same {
            true => report.ok(check, "Label Studio's pages load from the public URL"),
            false => report.fail(
                check,
                format!(
                    "LABEL_STUDIO_HOST of Label Studio is {host:?}, and browsers come to \
                     {expected}: pages stay blank or reload forever"
                ),
                format!("set LABEL_STUDIO_HOST={expected} in Label Studio"),
            ),
        }
    }
}

/// The value of `LABEL_STUDIO_HOST` in a page of Label Studio.
fn hostname(page: &[u8]) -> Option<String> {
    let page = String::from_utf8_lossy(page);
    let host = match page.split_once(HOSTNAME) {
        Some((_, rest)) => rest.split_once('"')?.0,
        None => page.split_once(STATIC)?.0.rsplit_once('"')?.1,
    };
    let is_address = host.is_empty() || host.starts_with("http");
    is_address.then(|| host.to_owned())
}

/// Anybody who signs up becomes a user with a session.
fn sign_up(report: &mut Report, answer: &Answer) {
    let body = String::from_utf8_lossy(&answer.body);
    let is_form = answer.status.is_success() && body.contains("name=\"password\"");
    if is_form {
        report.warn(
            Check::PublicSignUp,
            "anybody can sign up to Label Studio at its public URL",
            "unless that is intended, set DISABLE_SIGNUP_WITHOUT_LINK=1 in Label Studio, or \
             policy.anonymous = \"require\" here",
        );
    } else {
        report.ok(
            Check::PublicSignUp,
            "nobody can sign up without an invitation",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_every_page() {
        for (page, host) in [
            (
                r#"<script>APP = { hostname: "https://ls.test/x", a: "/static/" }</script>"#,
                Some("https://ls.test/x"),
            ),
            (r#"APP = { hostname: "", }"#, Some("")),
            (
                r#"<link href="http://ls.test:8080/static/css/main.css" rel="stylesheet"/>"#,
                Some("http://ls.test:8080"),
            ),
            (r#"<link href="/static/css/main.css"/>"#, Some("")),
            (r#"<link href="assets/static/css/main.css"/>"#, None),
            ("<html></html>", None),
        ] {
            assert_eq!(hostname(page.as_bytes()).as_deref(), host, "{page}");
        }
    }
}
