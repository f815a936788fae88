//! What proxies in front say about the user: one header, read in one way, or nothing.

use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use jsonwebtoken::{Algorithm, EncodingKey};
use label_studio_gate::gate::identity::ClaimMapping;
use label_studio_gate::gate::jws;
use label_studio_gate::gate::observer::Steps;
use label_studio_gate::gate::subrequest::Asserted;
use label_studio_gate::gate::verify::{Compact, Expectation, Issuer, KeySet, Keys, LoadBalancer};
use label_studio_gate::http::{IdentityHeaders, Proxy};
use serde_json::{Map, Value};

const SECRET: &str = "fuzzing-load-balancer-key-of-fifty-characters-0123";
const ARN: &str = "arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/app/ours/1";
const ISSUER: &str = "https://op.test";
const CLIENT: &str = "label-studio";
const NOW: u64 = 1_800_000_000;

/// Lines `name: value` of a request.
fn lines(data: &[u8]) -> Vec<(HeaderName, HeaderValue)> {
    let line = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        Some((name, value))
    };
    data.split(|byte| *byte == b'\n').filter_map(line).collect()
}

/// Header lines: what is read came once, under exactly the name in the settings, and is one value.
pub fn identity_headers(data: &[u8]) {
    let lines = lines(data);
    let mut headers = HeaderMap::new();
    for (name, value) in &lines {
        headers.append(name.clone(), value.clone());
    }
    let named = |name: &'static str| Some(HeaderName::from_static(name));
    let unsigned = IdentityHeaders::Unsigned {
        email: named("remote-email"),
        username: named("remote-user"),
        groups: named("remote-groups"),
    };
    let token = IdentityHeaders::Token(HeaderName::from_static("remote-token"));
    // nginx's files send them under names of their own.
    let by_others = [
        "remote-email",
        "remote-user",
        "remote-groups",
        "remote-token",
    ];
    let by_nginx = [
        "x-gate-identity-email",
        "x-gate-identity-username",
        "x-gate-identity-groups",
        "x-gate-identity",
    ];
    for (proxy, [email, user, groups, header]) in
        [(Proxy::Caddy, by_others), (Proxy::Nginx, by_nginx)]
    {
        let came = |name: &str| {
            let of_name = lines.iter().filter(|(found, _)| found.as_str() == name);
            of_name
                .map(|(_, value)| value.as_bytes())
                .collect::<Vec<_>>()
        };
        let is_only = |name: &str, read: Option<&str>| match (&came(name)[..], read) {
            ([], None) => true,
            ([value], None) => value.is_empty(),
            ([value], Some(read)) => *value == read.as_bytes() && !read.is_empty(),
            _ => false,
        };
        match unsigned.asserted(proxy, &headers) {
            Some(Asserted::Unsigned(read)) => {
                assert!(is_only("gate-proxy-secret", read.secret));
                assert!(
                    is_only(email, read.email)
                        && is_only(user, read.username)
                        && is_only(groups, read.groups)
                );
                assert!(read.email.is_some() || read.username.is_some());
                assert!(
                    [read.email, read.username]
                        .into_iter()
                        .flatten()
                        .all(|name| !name.contains(','))
                );
            }
            Some(Asserted::Token(_)) => panic!("nothing is signed"),
            Some(Asserted::Ambiguous) => {}
            None => assert!(is_only(email, None) && is_only(user, None)),
        }
        match token.asserted(proxy, &headers) {
            Some(Asserted::Token(read)) => {
                assert!(is_only(header, Some(read)) && !read.contains(','))
            }
            Some(Asserted::Unsigned(_)) => panic!("only a token is wanted"),
            Some(Asserted::Ambiguous) => assert!(!is_only(header, None)),
            None => assert!(is_only(header, None)),
        }
    }
}

fn issuer() -> Issuer {
    let expectation = Expectation {
        issuer: Some(ISSUER.to_owned()),
        audiences: vec![CLIENT.to_owned()],
        leeway: Duration::ZERO,
        max_lifetime: Some(Duration::from_secs(600)),
        required: Vec::new(),
    };
    let keys = KeySet::from_secrets(&[SECRET.into()]);
    let issuer = Issuer::new(Keys::Configured(keys), expectation, ClaimMapping::default());
    issuer.behind(Some(LoadBalancer {
        arn: ARN.to_owned(),
    }))
}

/// A line with the header of a load balancer's token, and its payload, with a right signature: only a token of this load balancer, for
/// this client and of now is accepted. All of that is in its header; what the payload says of it doesn't count.
pub fn load_balancer_header(data: &[u8]) {
    let end = data
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(data.len());
    let (header, claims) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let [first, second] = [header, claims].map(|part| URL_SAFE.encode(part));
    let message = format!("{first}.{second}");
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature =
        jws::sign(message.as_bytes(), &key, Algorithm::HS256).expect("HMAC signs anything");
    let token = format!("{message}.{signature}=");
    let Ok(token) = Compact::parse_padded(&token) else {
        return;
    };
    assert_eq!(token.signed(), message);
    let (issuer, now) = (issuer(), SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
    let mut context = Context::from_waker(Waker::noop());
    let verified = std::pin::pin!(issuer.verify(&token, now, Steps::unheard())).poll(&mut context);
    let Poll::Ready(verified) = verified else {
        panic!("it waits");
    };
    let Ok(verified) = verified else {
        return;
    };
    let header: Map<String, Value> = serde_json::from_slice(header).expect("an object");
    assert_eq!(header["signer"], ARN);
    assert_eq!(
        (&header["iss"], &header["client"]),
        (&ISSUER.into(), &CLIENT.into())
    );
    let exp = header["exp"].as_f64().expect("a number");
    assert!(exp > 1_800_000_000.0 && exp <= 1_800_000_600.0);
    assert_eq!(
        (verified.get("iss"), verified.expires()),
        (Some(&ISSUER.into()), Some(exp))
    );
    let claims: Map<String, Value> = serde_json::from_slice(claims).expect("an object");
    for (name, value) in claims
        .iter()
        .filter(|(name, _)| !["iss", "aud", "exp", "iat"].contains(&name.as_str()))
    {
        assert_eq!(verified.get(name), Some(value));
    }
}
