//! What a browser says about its request reaches the gate with the check, through every kind of proxy.

use crate::nginx::{Nginx, binaries};
use crate::proxy::{KINDS, Kind, Proxy};
use crate::support::stub::{Reply, Stub};

const SAID: [(&str, &str); 4] = [
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-mode", "no-cors"),
    ("origin", "https://elsewhere.test"),
    ("referer", "https://elsewhere.test/page"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_check_has_what_the_browser_says_about_the_request() {
    let (gate, studio) = (
        Stub::start(|_| Reply::of(200, "")),
        Stub::start(|_| Reply::of(200, "Label Studio")),
    );
    let assert_check = async |url: &str, which: &str| {
        let asked = gate.asked();
        let mut request = crate::support::client().get(format!("{url}/projects/?token=a.b.c"));
        for (name, value) in SAID {
            request = request.header(name, value);
        }
        assert_eq!(request.send().await.unwrap().status(), 200, "{which}");
        let checks: Vec<String> = gate.heads().split_off(asked);
        let [check] = &checks[..] else {
            panic!("{which}: {checks:?}");
        };
        let check = check.to_ascii_lowercase();
        for (name, value) in SAID {
            let field = format!("\r\n{name}: {value}\r\n");
            assert!(check.contains(&field), "{which}: {name}: {check}");
        }
    };
    for binary in binaries() {
        let nginx = Nginx::start(&binary, &[gate.port], studio.port);
        assert_check(&nginx.url, &binary.display().to_string()).await;
    }
    for kind in KINDS.into_iter().chain([Kind::EnvoyGateway]) {
        let proxy = Proxy::start(kind, gate.port, studio.port);
        assert_check(&proxy.url, &format!("{kind:?}")).await;
    }
}
