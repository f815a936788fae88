//! Paths: for an open path, nginx and Django see the same path as the gate's rule.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{LazyLock, Mutex};

use label_studio_gate::gate::policy::{PathRule, Policy};
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use serde_json::Value;

use super::ask;
use crate::nginx::{MAIN, binaries, command, user};
use crate::support::leash::Leash;
use crate::support::{free_port, listens, wait_until};

/// Paths that implementations resolve differently.
const KEPT: &[&str] = &[
    "/static/",
    "/static/a/b.css",
    "/static/%61",
    "/static/a#/../../api/users",
    "/static/a#b",
    "/static/a%23b",
    "/static/a%3Fb",
    "/static/a+b",
    "/static/../api/users",
    "/static/%2e%2e/api/users",
    "/static/..%2fapi/users",
    "/static/%252e%252e/api",
    "/static//a",
    "/static/.../a",
    "/static/a/.",
    "/static/..;/api",
    "/static/%00",
    "/static/%0a",
    "/static/a\\..\\b",
    "/static/%5c..%5cb",
    "/static/%c3%a9",
    "/static/%e2%80%a6",
    "/static/%ff",
    "/static/%c0%ae%c0%ae/api",
    "/static/%ef%bc%8e%ef%bc%8e/api",
    "/static/%",
    "/static/%2",
    "/static/%zz",
    "//static/a",
    "/./static/a",
    "/%2fstatic/a",
    "/health",
    "/health#x",
    "/%68ealth",
    "/health%23",
    "/health;x",
];

static SERVERS: LazyLock<Vec<Mutex<Echo>>> = LazyLock::new(|| {
    let started = binaries().into_iter().map(|binary| Echo::start(&binary));
    started.map(Mutex::new).collect()
});

/// An nginx that answers with `$uri`, the path it matches locations against.
struct Echo {
    port: u16,
    _home: tempfile::TempDir,
    _server: Leash,
}

impl Echo {
    fn start(binary: &std::path::Path) -> Self {
        let (port, user) = (free_port(), user());
        let home = tempfile::tempdir().unwrap();
        let configuration = format!(
            "{user} {MAIN} http {{ access_log off; server {{ listen 127.0.0.1:{port}; location / {{ return 200 $uri; }} }} }}"
        );
        let command = command(binary, home.path(), &configuration);
        let log = home.path().join("output.log");
        let server = Leash::start(&command, "TERM", &log, None);
        wait_until(|| listens(port), || "nginx did not start".to_owned());
        Self {
            port,
            _home: home,
            _server: server,
        }
    }

    /// `None`: nginx refuses the request.
    fn uri(&self, path: &str) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // nginx may answer a request it refuses before reading all of it.
        let _ = stream.read_to_end(&mut answer);
        let end = answer.windows(4).position(|part| part == b"\r\n\r\n")?;
        let body = answer.split_off(end + 4);
        answer.starts_with(b"HTTP/1.1 200 ").then_some(body)
    }
}

fn check(paths: &[String]) -> usize {
    let rules = ["/health", "/static/*"].map(|rule| PathRule::parse(rule).unwrap());
    let policy = Policy {
        open_paths: rules.into(),
        ..Policy::default()
    };
    let path_of = |uri: &String| uri.split('?').next().unwrap_or_default().to_owned();
    let open = paths
        .iter()
        .map(path_of)
        .filter(|path| policy.is_open(path));
    let open: Vec<String> = open.collect();
    let cases: Vec<Value> = open.iter().map(|path| path.as_str().into()).collect();
    let by_django = ask("path", &cases);
    for (n, path) in open.iter().enumerate() {
        let decoded = percent_decode_str(path).decode_utf8().unwrap();
        for nginx in SERVERS.iter() {
            let uri = nginx.lock().unwrap().uri(path);
            let uri = uri.map(|uri| String::from_utf8(uri).unwrap());
            assert_eq!(uri.as_deref(), Some(&*decoded), "nginx: {path:?}");
        }
        for answers in &by_django {
            assert_eq!(answers[n].as_str(), Some(&*decoded), "Django: {path:?}");
        }
    }
    open.len()
}

#[test]
fn stored_paths_are_resolved_alike() {
    let kept: Vec<String> = KEPT.iter().map(|path| (*path).to_owned()).collect();
    assert!(check(&kept) >= 8, "most kept paths are closed");
}

fn path() -> impl Strategy<Value = String> {
    let begin = proptest::sample::select(vec![
        "/static/", "/static/", "/static/", "/health", "/", "//",
    ]);
    let words = proptest::sample::select(vec![
        "a",
        "static",
        "api",
        "/",
        "/",
        ".",
        "..",
        "...",
        "%2e",
        "%2E",
        "%2f",
        "%5c",
        "%25",
        "%00",
        "%0d",
        "%20",
        "%23",
        "%3f",
        "%3b",
        "%7f",
        "%c3%a9",
        "%ff",
        "%c0%ae",
        "%",
        "%zz",
        "%u002e",
        "#",
        "?",
        ";",
        ":",
        "@",
        "&",
        "=",
        "+",
        "~",
        "*",
        "|",
        "\\",
        "\"",
        "<",
        "é",
        "\u{2024}",
        "%e2%80%a4",
    ]);
    (begin, proptest::collection::vec(words, 0..8))
        .prop_map(|(begin, words)| format!("{begin}{}", words.concat()))
}

proptest! {
    #[test]
    fn everybody_resolves_an_open_path_alike(paths in proptest::collection::vec(path(), 32)) {
        check(&paths);
    }
}
