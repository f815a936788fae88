//! The guide's environments, each with its file in `nginx/environments`, in a real browser and with
//! each method: the page that embeds Label Studio, projects in the frame, saving an annotation,
//! switching users, a window, a link, and signing out.

use std::path::Path;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::label_studio::{LabelStudio, database, seeded};
use crate::nginx::{Nginx, binaries};
use crate::programs::{Program, example, in_chromium, screenshot};
use crate::stack::{Engine, GateProcess};
use crate::support::cluster::CLUSTER;
use crate::support::free_port;
use crate::support::stub::{Reply, Stub};
use crate::support::token::native;

const SHARED: &str = "a-secret-of-the-environments-that-two-services-share";
const VERIFY: &str = "verify-secret-of-the-environments";
const PROJECT: &str = "Environment project";

/// One of the guide's environments.
struct Environment {
    file: &'static str,
    scheme: &'static str,
    application: &'static str,
    label_studio: &'static str,
    /// The path of Label Studio on its host.
    path: &'static str,
    engine: Engine,
    /// Label Studio's environment variables.
    studio: &'static [(&'static str, &'static str)],
    /// Settings of the gate.
    gate: &'static [(&'static str, &'static str)],
    /// Domain and name of the application's session cookie.
    cookie: (Option<&'static str>, &'static str),
    /// Lines that the operator changes in the file.
    edits: &'static [(&'static str, &'static str)],
    /// Whether the browser keeps third-party cookies.
    third_party: bool,
    /// Whether Label Studio works in the frame.
    framed: bool,
    /// Whether the application's session reaches Label Studio's host at all.
    session_arrives: bool,
}

/// An environment with one method: what is where.
struct Setup<'s> {
    method: u8,
    /// nginx's port.
    port: u16,
    /// The public URLs.
    application: &'s str,
    label_studio: &'s str,
    database: &'s str,
    /// Label Studio's own port.
    server: u16,
}

impl Environment {
    async fn works_by(&self, methods: &[u8]) {
        let port = free_port();
        let origin = |host: &str| format!("{}://{host}:{port}", self.scheme);
        let (application, studio) = (origin(self.application), origin(self.label_studio));
        let label_studio = format!("{studio}{}", self.path);
        let database = database();
        let mut variables = self.studio.to_vec();
        if !self.path.is_empty() {
            variables.push(("LABEL_STUDIO_HOST", &label_studio));
        }
        let rows = self.engine == Engine::Database;
        let server = LabelStudio::with_environment(&database, rows, &variables);
        make_project(server.port).await;
        for &method in methods {
            self.works(&Setup {
                method,
                port,
                application: &application,
                label_studio: &label_studio,
                database: &database,
                server: server.port,
            });
        }
    }

    fn works(&self, setup: &Setup<'_>) {
        let gate_port = free_port();
        let express = self.start_application(setup, gate_port);
        let _gate = self.start_gate(setup, gate_port, &express);
        let nginx = self.start_nginx(setup, gate_port, express.port);
        self.check_in_browser(setup, &nginx);
    }

    fn start_application(&self, setup: &Setup<'_>, gate: u16) -> Program {
        let (domain, cookie) = self.cookie;
        let gate_url = format!("http://127.0.0.1:{gate}");
        let mut variables = vec![
            ("LABEL_STUDIO_URL", setup.label_studio),
            ("LABEL_STUDIO_API_URL", &gate_url),
            ("LABEL_STUDIO_API_TOKEN", seeded("GATE_DEMO_ADMIN_TOKEN")),
            ("JWT_SSO_SECRET", SHARED),
            ("JWT_SSO_SESSION_VERIFY_SECRET", VERIFY),
            ("COOKIE_NAME", cookie),
        ];
        variables.push(match setup.method {
            1 => ("METHOD", "1"),
            2 => ("METHOD", "2"),
            _ => ("METHOD", "3"),
        });
        variables.extend(domain.map(|domain| ("COOKIE_DOMAIN", domain)));
        example("express", &variables)
    }

    fn start_gate(&self, setup: &Setup<'_>, port: u16, application: &Program) -> GateProcess {
        let verify = format!("{}/api/auth/verify-session", application.url());
        let mut settings = self.gate.to_vec();
        if !self.path.is_empty() {
            settings.push(("LABEL_STUDIO_HOST", setup.label_studio));
        }
        match setup.method {
            1 => settings.extend([
                ("JWT_SSO_SECRET", SHARED),
                ("JWT_SSO_AUTO_CREATE_USERS", "true"),
            ]),
            2 => settings.push(("SSO_AUTO_CREATE_USERS", "true")),
            _ => settings.extend([
                ("JWT_SSO_SESSION_VERIFY_URL", verify.as_str()),
                ("JWT_SSO_SESSION_VERIFY_SECRET", VERIFY),
                ("JWT_SSO_SESSION_COOKIE_NAME", self.cookie.1),
            ]),
        }
        let postgres = CLUSTER.port();
        GateProcess::start_on(port, self.engine, postgres, setup.database, &settings)
    }

    fn start_nginx(&self, setup: &Setup<'_>, gate: u16, application: u16) -> Nginx {
        let port = setup.port;
        let to = |port: u16| format!("server 127.0.0.1:{port};");
        let mut edits = vec![
            ("server 127.0.0.1:8081;", to(setup.server)),
            ("server 127.0.0.1:3000;", to(application)),
        ];
        let certificate = tempfile::tempdir().unwrap();
        if self.scheme == "https" {
            let (pem, key) = self.certificate(certificate.path());
            edits.extend([
                ("listen 443 ssl;", format!("listen 127.0.0.1:{port} ssl;")),
                ("/etc/ssl/label-studio.pem", pem),
                ("/etc/ssl/label-studio.key", key),
            ]);
        } else {
            edits.push(("listen 80;", format!("listen 127.0.0.1:{port};")));
        }
        let own = self.edits.iter();
        edits.extend(own.map(|(old, new)| (*old, (*new).to_owned())));
        let client_cookie = (setup.method == 3).then_some(self.cookie.1);
        let binary = binaries().pop().unwrap();
        let file = format!("environments/{}", self.file);
        // nginx has read the certificate when it listens.
        Nginx::serve(&binary, &[gate], port, client_cookie, &file, &edits)
    }

    fn check_in_browser(&self, setup: &Setup<'_>, nginx: &Nginx) {
        let method = setup.method;
        let kind = if self.third_party { "" } else { "-partitioned" };
        let file = self.file.trim_end_matches(".conf");
        let name = format!("{file}{kind}-method-{method}");
        let shots = screenshot(&name).with_extension("");
        let arrives = method != 3 || self.session_arrives;
        let task = json!({
            "application": setup.application, "labelStudio": setup.label_studio, "project": PROJECT, "shots": shots,
            "sentence": format!("A sentence to label {method}"),
            "thirdParty": self.third_party, "framed": self.framed && arrives,
            "signedCookies": self.engine == Engine::SignedCookies,
        });
        let task = task.to_string();
        let only_a_glance = !arrives || !self.third_party;
        let (program, expected) = if only_a_glance {
            ("glance.mjs", self.glance())
        } else {
            ("environment.mjs", self.whole_visit())
        };
        let seen = tokio::task::block_in_place(|| in_chromium(program, &[&task]));
        assert_eq!(seen, expected, "{name}: {}", nginx.read("error.log"));
        let logged = nginx.read("access.log");
        assert!(!logged.contains("eyJ"), "{name}: a token in the log");
    }

    /// What a browser shows that keeps Label Studio's session or its storage out of the frame.
    fn glance(&self) -> Value {
        // When Chromium blocks third-party cookies, it denies the frame all storage, and Label
        // Studio's pages stay blank without storage.
        let (framed, storage) = match self.third_party {
            true => (json!(null), "object"),
            false => (json!("ann@example.com"), "SecurityError"),
        };
        json!({"framed": framed, "storage": storage, "link": null})
    }

    fn whole_visit(&self) -> Value {
        match self.framed {
            true => json!({
                "framed": "ann@example.com", "tokenInAddress": false, "saved": 201, "switched": "bob@example.com",
                "popup": "ann@example.com", "link": "ann@example.com", "signedOut": null,
            }),
            false => json!({
                "framed": null, "popup": "ann@example.com", "link": "ann@example.com", "signedOut": null,
            }),
        }
    }

    fn certificate(&self, home: &Path) -> (String, String) {
        label_studio_gate::startup::install_crypto();
        let names = vec![self.application.to_owned(), self.label_studio.to_owned()];
        let own = rcgen::generate_simple_self_signed(names).unwrap();
        let (pem, key) = (home.join("tls.pem"), home.join("tls.key"));
        std::fs::write(&pem, own.cert.pem()).unwrap();
        std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
        (pem.display().to_string(), key.display().to_string())
    }
}

/// A project with sentences to label, created through Label Studio's API.
async fn make_project(port: u16) {
    let client = crate::support::client();
    let post = async |path: &str, body: Value| -> Value {
        let request = client
            .post(format!("http://127.0.0.1:{port}{path}"))
            .header(
                "Authorization",
                format!("Token {}", seeded("GATE_DEMO_ADMIN_TOKEN")),
            )
            .json(&body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 201, "{path}");
        answer.json().await.unwrap()
    };
    let config = r#"<View><Text name="text" value="$text"/><Choices name="sentiment" toName="text" choice="single"><Choice value="Positive"/><Choice value="Negative"/></Choices></View>"#;
    let project = post(
        "/api/projects",
        json!({"title": PROJECT, "label_config": config}),
    )
    .await;
    let tasks: Vec<Value> = (0..5)
        .map(|n| json!({"text": format!("A sentence to label {n}")}))
        .collect();
    post(
        &format!("/api/projects/{}/import", project["id"]),
        json!(tasks),
    )
    .await;
}

/// The first environment; the others state only what differs.
const ONE_DOMAIN: Environment = Environment {
    file: "1-same-domain.conf",
    scheme: "http",
    application: "company.test",
    label_studio: "company.test",
    path: "/label-studio",
    engine: Engine::SignedCookies,
    studio: &[],
    gate: &[],
    cookie: (None, "connect.sid"),
    edits: &[],
    third_party: true,
    framed: true,
    session_arrives: true,
};

#[tokio::test(flavor = "multi_thread")]
async fn one_domain_under_a_path() {
    ONE_DOMAIN.works_by(&[1, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subdomains() {
    let environment = Environment {
        file: "2-subdomains.conf",
        application: "app.company.test",
        label_studio: "labelstudio.company.test",
        path: "",
        engine: Engine::Database,
        studio: &[("SESSION_COOKIE_DOMAIN", ".company.test")],
        gate: &[("SESSION_COOKIE_DOMAIN", ".company.test")],
        cookie: (Some(".company.test"), "connect.sid"),
        ..ONE_DOMAIN
    };
    environment.works_by(&[1, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_domains_behind_one_proxy() {
    let mut environment = Environment {
        file: "3-one-proxy.conf",
        gate: &[("SESSION_COOKIE_PATH", "/label-studio/")],
        ..ONE_DOMAIN
    };
    environment.works_by(&[1, 2]).await;
    // Both sessions are called sessionid, as in the guide's own example.
    environment.cookie = (None, "sessionid");
    environment.works_by(&[3]).await;
}

/// The guide says that a frame is impossible here, because the browser keeps the session out of it.
/// A window and a link work.
#[tokio::test(flavor = "multi_thread")]
async fn two_domains_over_http() {
    let environment = Environment {
        file: "4-two-domains-http.conf",
        application: "client.test",
        label_studio: "labelstudio.test",
        path: "",
        framed: false,
        session_arrives: false,
        ..ONE_DOMAIN
    };
    environment.works_by(&[1, 2, 3]).await;
}

const SECURE: &[(&str, &str)] = &[
    ("SESSION_COOKIE_SAMESITE", "None"),
    ("SESSION_COOKIE_SECURE", "1"),
    ("CSRF_COOKIE_SAMESITE", "None"),
    ("CSRF_COOKIE_SECURE", "1"),
];

#[tokio::test(flavor = "multi_thread")]
async fn two_domains_over_https() {
    let environment = Environment {
        file: "5-two-domains-https.conf",
        scheme: "https",
        application: "client.test",
        label_studio: "labelstudio.test",
        path: "",
        studio: SECURE,
        gate: SECURE,
        session_arrives: false,
        ..ONE_DOMAIN
    };
    environment.works_by(&[1, 2, 3]).await;
    // A browser that blocks third-party cookies keeps partitioned ones, so Label Studio knows the
    // user. Its pages stay blank because of the browser, not because of the session.
    let partitioned = Environment {
        gate: &[
            ("SESSION_COOKIE_SAMESITE", "None"),
            ("SESSION_COOKIE_SECURE", "1"),
            ("GATE_SESSION_COOKIE_PARTITIONED", "true"),
        ],
        edits: &[(
            "# proxy_cookie_path / \"/; Partitioned\";",
            "proxy_cookie_path / \"/; Partitioned\";",
        )],
        third_party: false,
        ..environment
    };
    partitioned.works_by(&[1]).await;
}

/// The application and Label Studio below a path.
const FILES_BELOW_A_PATH: [&str; 2] = ["1-same-domain.conf", "3-one-proxy.conf"];

/// What stands in for Label Studio and its host application where only the way to them counts.
struct BelowAPath {
    studio: Stub,
    application: Stub,
    gate: GateProcess,
}

impl BelowAPath {
    fn start(studio: Stub) -> Self {
        let application = Stub::start(|_| Reply::of(200, "the application"));
        let gate = GateProcess::start(Engine::SignedCookies, CLUSTER.port(), &database());
        Self {
            studio,
            application,
            gate,
        }
    }

    /// Every nginx with this file, in which the operator has changed these lines.
    fn servers(&self, file: &str, edits: &[(&str, String)]) -> impl Iterator<Item = Nginx> {
        let file = format!("environments/{file}");
        binaries().into_iter().map(move |binary| {
            let port = free_port();
            let mut edits = edits.to_vec();
            edits.extend([
                ("8081;", format!("{};", self.studio.port)),
                ("3000;", format!("{};", self.application.port)),
                ("listen 80;", format!("listen 127.0.0.1:{port};")),
            ]);
            Nginx::serve(&binary, &[self.gate.port], port, None, &file, &edits)
        })
    }
}

/// Status, `Location` and body of a page.
async fn page(browser: &Browser, path: &str) -> (u16, Option<String>, String) {
    let request = browser.client.get(browser.at(path));
    let answer = request.header("Accept", "text/html").send().await.unwrap();
    let location = answer.headers().get("Location");
    let location = location.map(|value| value.to_str().unwrap().to_owned());
    let status = answer.status().as_u16();
    (status, location, answer.text().await.unwrap())
}

/// Both have pages with a token in the address; the gate handles only Label Studio's.
#[tokio::test(flavor = "multi_thread")]
async fn links_with_tokens_of_the_host_application_stay_its_own() {
    let stand_ins = BelowAPath::start(Stub::start(|_| Reply::of(200, "Label Studio")));
    for file in FILES_BELOW_A_PATH {
        for nginx in stand_ins.servers(file, &[]) {
            let browser = Browser::new(&nginx.url);
            let token = native(1);
            for path in ["/reset-password", "/label-studio-help", "/sso/x"] {
                let seen = page(&browser, &format!("{path}?token={token}")).await;
                let expected = (200, None, "the application".to_owned());
                assert_eq!(seen, expected, "{file}: {path}");
            }
            let with_token = format!("/label-studio/x/?token={token}&a=b");
            let (status, location, _) = page(&browser, &with_token).await;
            let clean = Some("/label-studio/x/?a=b");
            assert_eq!((status, location.as_deref()), (303, clean), "{file}");
            let login = format!("/label-studio/sso/login?token={token}&next=/a");
            let (status, location, _) = page(&browser, &login).await;
            assert_eq!((status, location.as_deref()), (303, Some("/a")), "{file}");
            for path in ["/api/sso/token", "/sso/backchannel-logout"] {
                let (status, _, body) = page(&browser, &format!("/label-studio{path}")).await;
                assert_eq!(status, 405, "{file}: {path}: the gate's: {body}");
            }
            let (status, _, body) = page(&browser, "/label-studio/sso/x").await;
            assert_eq!((status, body.as_str()), (200, "Label Studio"), "{file}");
        }
    }
}

/// With the line uncommented that is for sign-in with a provider.
#[tokio::test(flavor = "multi_thread")]
async fn below_a_path_only_label_studios_own_login_page_and_logout_lead_to_the_provider() {
    let studio = Stub::start(|head| Reply {
        headers: "Set-Cookie: csrftoken=x; Path=/\r\n".to_owned(),
        ..Reply::of(200, head.lines().next().unwrap_or_default())
    });
    let stand_ins = BelowAPath::start(studio);
    let include = "include label-studio-gate/sign-in-under-a-path.conf;";
    let commented_out = format!("# {include}");
    let uncommented = [(&*commented_out, include.to_owned())];
    for (file, cookie_path) in FILES_BELOW_A_PATH.into_iter().zip(["/", "/label-studio/"]) {
        for nginx in stand_ins.servers(file, &uncommented) {
            let browser = Browser::new(&nginx.url);
            let start = "/label-studio/sso/start?next=";
            for (path, expected) in [
                ("/user/login/", format!("{start}/label-studio/")),
                (
                    "/user/login/?next=/label-studio/x",
                    format!("{start}/label-studio/x"),
                ),
                ("/logout", "/label-studio/sso/logout".to_owned()),
                ("/logout/", "/label-studio/sso/logout".to_owned()),
            ] {
                let (status, location, _) = page(&browser, &format!("/label-studio{path}")).await;
                assert_eq!((status, location), (303, Some(expected)), "{file}: {path}");
            }
            // Label Studio's own form, shown and sent, with the cookies where they belong.
            let form = browser.at("/label-studio/user/login/?form=label-studio");
            for (request, seen) in [
                (
                    browser.client.get(form),
                    "GET /user/login/?form=label-studio",
                ),
                (
                    browser.client.post(browser.at("/label-studio/user/login/")),
                    "POST /user/login/",
                ),
            ] {
                let answer = request.send().await.unwrap();
                let cookie = answer.headers()["Set-Cookie"].to_str().unwrap().to_owned();
                assert_eq!(cookie, format!("csrftoken=x; Path={cookie_path}"), "{file}");
                let body = answer.text().await.unwrap();
                assert!(body.starts_with(&format!("{seen} ")), "{file}: {body}");
            }
            for path in ["/user/login/", "/logout"] {
                let seen = page(&browser, path).await;
                let expected = (200, None, "the application".to_owned());
                assert_eq!(seen, expected, "{file}: {path}");
            }
        }
    }
}
