//! An issuer (method 1) and its key server: nginx with TLS, in front of a file with the keys.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jsonwebtoken::{Algorithm, Header};
use label_studio_gate::gate::jws;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use crate::nginx;
use crate::process::signal;
use crate::support::leash::Leash;
use crate::support::token::{self, now};
use crate::support::{free_port, listens, wait_until};
use crate::wire::Wire;

/// The name that the certificate proves, besides `localhost`.
pub const NAME: &str = "keys.chaos.test";
const AUDIENCE: &str = "label-studio";

/// Signs tokens with the newest key.
#[derive(Clone, Default)]
pub struct Signer(Arc<Mutex<Vec<(String, KeyPair)>>>);

impl Signer {
    /// A token for the user with this address.
    pub fn token(&self, email: &str, id: u64) -> String {
        let keys = self.0.lock().expect("not poisoned");
        let (kid, pair) = keys.last().expect("a key");
        let key = jws::private_key(&pair.serialize_pem(), Algorithm::ES256).expect("an EC key");
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(kid.clone());
        let claims = json!({
            "email": email, "iat": now(), "exp": now() + 600, "aud": AUDIENCE, "jti": format!("{id:x}"),
        });
        jws::encode(&header, &claims, &key).expect("signed")
    }
}

/// A certificate authority.
struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    fn new(certificate: &Path) -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).expect("no names");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let signed = parameters.self_signed(&key).expect("signed");
        std::fs::write(certificate, signed.pem()).expect("written");
        Self(Issuer::new(parameters, key))
    }

    fn issue(&self, home: &Path) {
        let key = KeyPair::generate().expect("a key");
        let names = vec![NAME.to_owned(), "localhost".to_owned()];
        let parameters = CertificateParams::new(names).expect("names");
        let certificate = parameters.signed_by(&key, &self.0).expect("signed");
        std::fs::write(home.join("server.crt"), certificate.pem()).expect("written");
        std::fs::write(home.join("server.key"), key.serialize_pem()).expect("written");
    }
}

pub struct KeyServer {
    pub signer: Signer,
    pub wire: Wire,
    home: PathBuf,
    trusted: Authority,
    unknown: Authority,
    nginx: Leash,
}

impl KeyServer {
    pub fn start(runtime: &tokio::runtime::Runtime, home: PathBuf) -> Self {
        std::fs::create_dir_all(home.join("temp")).expect("a directory");
        let port = free_port();
        let trusted = Authority::new(&home.join("ca.crt"));
        let unknown = Authority::new(&home.join("unknown-ca.crt"));
        trusted.issue(&home);
        let signer = Signer::default();
        let configuration = format!(
            "{main} {user}
             http {{
                 access_log off;
                 client_body_temp_path temp/body; proxy_temp_path temp/proxy; fastcgi_temp_path temp/fastcgi;
                 uwsgi_temp_path temp/uwsgi; scgi_temp_path temp/scgi;
                 server {{
                     listen 127.0.0.1:{port} ssl;
                     ssl_certificate server.crt; ssl_certificate_key server.key; ssl_session_tickets off;
                     location = /keys.json {{ root .; default_type application/json; }}
                 }}
             }}",
            main = nginx::MAIN,
            user = nginx::user()
        );
        publish(&home, &signer, "first");
        let command = nginx::command(&nginx::binaries()[0], &home, &configuration);
        let nginx = Leash::start(&command, "QUIT", &home.join("output.log"), None);
        let said = || std::fs::read_to_string(home.join("error.log")).unwrap_or_default();
        wait_until(|| listens(port), said);
        Self {
            signer,
            wire: Wire::to(runtime, port),
            home,
            trusted,
            unknown,
            nginx,
        }
    }

    /// The gate's settings for tokens of this issuer. `name` is what it calls this host.
    pub fn settings(&self, name: &str) -> Vec<(&'static str, String)> {
        let ca = self.home.join("ca.crt");
        let url = format!("https://{name}:{}/keys.json", self.wire.port);
        vec![
            ("GATE_EXTERNAL_JWKS_URL", url),
            ("GATE_EXTERNAL_AUDIENCE", AUDIENCE.to_owned()),
            ("GATE_KEY_SERVER_CA_FILE", ca.display().to_string()),
            ("GATE_KEY_SERVER_COOLDOWN_SECONDS", "1".to_owned()),
        ]
    }

    /// Publishes one more key and signs with that one from now on.
    pub fn rotate(&self, name: &str) {
        publish(&self.home, &self.signer, name);
    }

    /// Serves with another certificate, of the authority that gates trust or of another one.
    pub fn change_certificate(&self, trusted: bool) {
        let authority = if trusted {
            &self.trusted
        } else {
            &self.unknown
        };
        authority.issue(&self.home);
        signal("HUP", &[self.nginx.pid()]);
    }
}

fn publish(home: &Path, signer: &Signer, kid: &str) {
    let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let mut keys = signer.0.lock().expect("not poisoned");
    keys.push((kid.to_owned(), pair));
    // Tokens live for ten minutes, so a few keys are enough.
    let old = keys.len().saturating_sub(3);
    keys.drain(..old);
    let public = keys.iter().map(|(kid, pair)| {
        let mut jwk = token::jwk(pair);
        jwk["kid"] = kid.as_str().into();
        jwk
    });
    let public = json!({"keys": public.collect::<Vec<Value>>()}).to_string();
    // The server must never read half a file.
    std::fs::write(home.join("keys.new"), public).expect("written");
    std::fs::rename(home.join("keys.new"), home.join("keys.json")).expect("renamed");
}
