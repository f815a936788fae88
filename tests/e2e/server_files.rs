//! nginx with each of the shipped server files.

use crate::nginx::{Nginx, binaries};
use crate::support::free_port;

/// The shipped server files, and a path of Label Studio in each.
pub const SERVERS: [(&str, &str); 6] = [
    ("label-studio.conf", "/projects/"),
    ("environments/1-same-domain.conf", "/label-studio/projects/"),
    ("environments/2-subdomains.conf", "/projects/"),
    ("environments/3-one-proxy.conf", "/label-studio/projects/"),
    ("environments/4-two-domains-http.conf", "/projects/"),
    ("environments/5-two-domains-https.conf", "/projects/"),
];

/// The files for sign-in with a provider, which the server files include if the operator says so.
const SIGN_IN: [&str; 2] = ["sign-in.conf", "sign-in-under-a-path.conf"];

/// One nginx with one of the files.
pub struct Server {
    pub nginx: Nginx,
    /// A path of Label Studio.
    pub path: &'static str,
    /// Which nginx and which file, for messages.
    pub which: String,
}

impl Server {
    /// The path that Label Studio and the gate's routes are below, if there is one.
    pub fn under(&self) -> &'static str {
        self.path.trim_end_matches("/projects/")
    }

    /// What nginx said so far.
    pub fn errors(&self) -> String {
        self.nginx.read("output.log") + &self.nginx.read("error.log")
    }
}

/// Each nginx with each server file and the file for sign-in with a provider, on plain HTTP.
pub async fn each(gate: u16, studio: u16, test: impl AsyncFn(Server)) {
    label_studio_gate::startup::install_crypto();
    let certificate = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(vec!["labelstudio.test".to_owned()]).unwrap();
    let (pem, key) = (
        certificate.path().join("pem"),
        certificate.path().join("key"),
    );
    std::fs::write(&pem, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    for binary in binaries() {
        for (file, path) in SERVERS {
            let port = free_port();
            let mut edits = vec![("127.0.0.1:8081;", format!("127.0.0.1:{studio};"))];
            if file.contains("https") {
                edits.extend([
                    ("listen 443 ssl;", format!("listen 127.0.0.1:{port};")),
                    ("/etc/ssl/label-studio.pem", pem.display().to_string()),
                    ("/etc/ssl/label-studio.key", key.display().to_string()),
                ]);
            } else {
                let listen = match file {
                    "label-studio.conf" => "listen 80 default_server;",
                    _ => "listen 80;",
                };
                edits.push((listen, format!("listen 127.0.0.1:{port};")));
            }
            edits.push(with_sign_in(path));
            let nginx = Nginx::serve(&binary, &[gate], port, None, file, &edits);
            let which = format!("{}: {file}", binary.display());
            test(Server { nginx, path, which }).await;
        }
    }
}

/// The edit that an operator makes for sign-in with a provider.
fn with_sign_in(path: &str) -> (&'static str, String) {
    let [own, under_a_path] = SIGN_IN.map(|file| format!("include label-studio-gate/{file};"));
    match path {
        "/projects/" => {
            let gate = "include label-studio-gate/gate.conf;";
            (gate, format!("{gate} {own}"))
        }
        _ => (
            "# include label-studio-gate/sign-in-under-a-path.conf;",
            under_a_path,
        ),
    }
}
