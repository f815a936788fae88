//! Sign-in: what a provider and a browser send proves no more than it says, and nothing is taken from it twice.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use actix_web::http::header::HeaderValue;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use label_studio_gate::gate::cookies::CookieHeader;
use label_studio_gate::gate::entropy::Entropy;
use label_studio_gate::gate::identity::ClaimMapping;
use label_studio_gate::gate::jws;
use label_studio_gate::gate::observer::NoObserver;
use label_studio_gate::gate::openid::{
    AuthorizationRequest, Callback, Code, CompletedFlow, Display, EndSessionRequest, Ended, Flow,
    FlowCookies, NoSignIn, Outcome, Provider, RelyingParty, SignIn, Tokens, Userinfo,
};
use label_studio_gate::gate::reason::Outage;
use label_studio_gate::gate::verify::{Expectation, Issuer, KeySet, Keys};
use label_studio_gate::openid::{Metadata, read_userinfo};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};

const SECRET: &str = "fuzzing-client-secret-of-fifty-characters-01234567";
const ISSUER: &str = "https://op.test";
const CLIENT: &str = "gate";
const NOW: u64 = 1_800_000_000;
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

/// Always the same, so that genuine cookies can be in the corpus.
struct Fixed;

impl Entropy for Fixed {
    fn sixteen(&self) -> [u8; 16] {
        [7; 16]
    }
}

/// A provider with these answers.
struct Answers {
    id_token: String,
    userinfo: fn(&[u8]) -> Option<Userinfo>,
    body: Vec<u8>,
}

#[async_trait]
impl Provider for Answers {
    async fn authorization_url(&self, _: &AuthorizationRequest<'_>) -> Result<Url, Outage> {
        Err(Outage::ProviderUnavailable)
    }

    async fn names_itself(&self) -> Result<bool, Outage> {
        Ok(true)
    }

    async fn redeem(&self, _: &Code, _: &Flow) -> Result<Tokens, NoSignIn> {
        Ok(Tokens {
            id_token: self.id_token.clone(),
            access_token: "access".into(),
        })
    }

    async fn userinfo(&self, _: &SecretString) -> Result<Userinfo, Outage> {
        (self.userinfo)(&self.body).ok_or(Outage::ProviderUnavailable)
    }

    async fn end_session_url(&self, _: &EndSessionRequest<'_>) -> Option<Url> {
        None
    }
}

/// A gate with one provider.
fn sign_in(provider: Answers) -> SignIn {
    let expectation = Expectation {
        issuer: Some(ISSUER.to_owned()),
        audiences: vec![CLIENT.to_owned()],
        leeway: Duration::ZERO,
        max_lifetime: None,
        required: Vec::new(),
    };
    let keys = KeySet::from_secrets(&[SECRET.into()]);
    let party = RelyingParty {
        name: "op".to_owned(),
        label: "Provider".to_owned(),
        client_id: CLIENT.to_owned(),
        other_audiences: Vec::new(),
        max_age: None,
        acr_values: Vec::new(),
        wanted_claims: vec!["groups".to_owned()],
        required: Vec::new(),
        session_age: None,
        issuer: Issuer::new(Keys::Configured(keys), expectation, ClaimMapping::default()),
        provider: Arc::new(provider),
    };
    let cookies = FlowCookies::new(&SECRET.into(), &[], true);
    SignIn::new(vec![party], cookies, Arc::new(Fixed))
}

/// Nothing here waits for anything.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

fn signed(header: &Value, claims: &[u8]) -> String {
    let [header, claims] =
        [header.to_string().as_bytes(), claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let message = format!("{header}.{claims}");
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jws::sign(message.as_bytes(), &key, Algorithm::HS256);
    format!("{message}.{}", signature.expect("HMAC signs anything"))
}

fn flow(display: Display) -> Flow {
    Flow::new("op", "/projects/1", display, now(), &Fixed)
}

/// What the provider says about Ann, with these claims besides.
fn id_token(flow: &Flow) -> (String, Map<String, Value>) {
    let claims = json!({
        "iss": ISSUER, "aud": CLIENT, "sub": "ann", "nonce": flow.nonce, "iat": NOW, "exp": NOW + 300, "email": "ann@example.com",
    });
    let token = signed(&json!({"alg": "HS256"}), claims.to_string().as_bytes());
    let Value::Object(claims) = claims else {
        unreachable!()
    };
    (token, claims)
}

/// The query of the redirect back: each parameter that the gate reads came once, as another reader of URLs sees it.
pub fn callback_query(data: &[u8]) {
    let Ok(query) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(callback) = Callback::parse(query) else {
        return;
    };
    let mut url = Url::parse("https://ls.example.com/sso/callback").expect("a URL");
    url.set_query(Some(query));
    let only = |name: &str| {
        let values: Vec<String> = form_urlencoded::parse(query.as_bytes())
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
            .collect();
        assert!(values.len() < 2, "{name} came {} times", values.len());
        values.into_iter().next()
    };
    assert_eq!(Some(&callback.state), only("state").as_ref());
    assert!(!callback.state.is_empty());
    assert_eq!(callback.issuer, only("iss"));
    let (code, error, description) = (only("code"), only("error"), only("error_description"));
    match &callback.outcome {
        Outcome::Code(found) => {
            assert_eq!((Some(found.as_str()), error), (code.as_deref(), None));
            let shown = format!("{:?}", callback.outcome);
            assert_eq!(shown, format!("Code(Code({} bytes))", found.as_str().len()));
        }
        Outcome::Error {
            code: found,
            description: told,
        } => {
            assert!(code.is_none() && !found.is_empty());
            assert!(error.is_some_and(|error| error.starts_with(found.as_str())));
            assert_eq!(told.is_some(), description.is_some());
            let texts = [Some(found), told.as_ref()];
            assert!(
                texts
                    .iter()
                    .flatten()
                    .all(|text| text.chars().count() <= 200)
            );
        }
    }
}

/// The provider's metadata: it is the configured issuer's, and sends browsers to HTTPS alone.
pub fn discovery_document(data: &[u8]) {
    let document = Url::parse("https://op.test/.well-known/openid-configuration").expect("a URL");
    let Ok(metadata) = Metadata::parse(data, &document, ISSUER) else {
        return;
    };
    let pages = [
        Some(&metadata.authorization_endpoint),
        metadata.end_session_endpoint.as_ref(),
    ];
    for page in pages.into_iter().flatten() {
        assert_eq!(page.scheme(), "https", "{page}");
        assert!(page.has_host(), "{page}");
    }
    // In a member that nobody reads, a text may be none.
    let Ok(found) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    assert_eq!(found["issuer"], ISSUER);
    let named = found["authorization_endpoint"].as_str().expect("text");
    assert_eq!(
        Url::parse(named).as_ref(),
        Ok(&metadata.authorization_endpoint)
    );
}

fn plain(body: &[u8]) -> Option<Userinfo> {
    read_userinfo(Some(b"application/json"), body.to_vec()).ok()
}

fn signed_userinfo(body: &[u8]) -> Option<Userinfo> {
    let token = signed(&json!({"alg": "HS256"}), body);
    read_userinfo(Some(b"application/JWT; charset=utf-8"), token.into_bytes()).ok()
}

fn as_it_came(body: &[u8]) -> Option<Userinfo> {
    read_userinfo(Some(b"application/jwt"), body.to_vec()).ok()
}

/// A byte that says how it is sent, and the claims of the userinfo endpoint: they are of the user in the ID token, and replace none of
/// its claims.
pub fn userinfo(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else {
        return;
    };
    let userinfo = [plain, signed_userinfo, as_it_came][usize::from(kind % 3)];
    let flow = flow(Display::Page);
    let (id_token, stated) = id_token(&flow);
    let sign_in = sign_in(Answers {
        id_token,
        userinfo,
        body: body.to_vec(),
    });
    let query = format!("code=c&state={}&iss={ISSUER}", flow.state);
    let callback = Callback::parse(&query).expect("an answer");
    let party = sign_in.party(None).expect("the only one");
    let Ok(CompletedFlow { claims, .. }) =
        ready(sign_in.finish(party, &callback, &flow, now(), &NoObserver))
    else {
        return;
    };
    for (name, value) in &stated {
        assert_eq!(claims.get(name), Some(value), "{name} was replaced");
    }
    assert_ne!(kind % 3, 2, "nobody but the provider signs");
    let found: Map<String, Value> = serde_json::from_slice(body).expect("an object");
    assert_eq!(found.get("sub"), stated.get("sub"));
    if kind % 3 == 1 {
        let for_us = |audience: &Value| audience == CLIENT;
        let named = |audience: &Value| {
            for_us(audience)
                || audience
                    .as_array()
                    .is_some_and(|all| all.iter().any(for_us))
        };
        assert!(found.get("aud").is_none_or(named));
        assert!(
            found
                .get("iss")
                .and_then(Value::as_str)
                .is_none_or(|issuer| issuer == ISSUER)
        );
    }
}

/// A byte that chooses the type, and the claims of a token with a right signature: what ends sessions was made to end them, lately, by
/// this provider, for this client.
pub fn logout_token(data: &[u8]) {
    let Some((typ, claims)) = data.split_first() else {
        return;
    };
    let typ = [None, Some("logout+jwt"), Some("JWT"), Some("at+jwt")][usize::from(typ % 4)];
    let mut header = json!({"alg": "HS256"});
    if let Some(typ) = typ {
        header["typ"] = typ.into();
    }
    let sign_in = sign_in(Answers {
        id_token: String::new(),
        userinfo: plain,
        body: Vec::new(),
    });
    let token = signed(&header, claims);
    let Ok(logout) = ready(sign_in.end(&token, now(), &NoObserver)) else {
        return;
    };
    assert_ne!(typ, Some("at+jwt"));
    let claims: Map<String, Value> = serde_json::from_slice(claims).expect("an object");
    assert_eq!((logout.provider, &claims["iss"]), (ISSUER, &ISSUER.into()));
    let audience = &claims["aud"];
    assert!(
        audience == CLIENT
            || audience
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one == CLIENT))
    );
    assert!(!claims.contains_key("nonce"), "an ID token ends nothing");
    assert!(claims["events"][LOGOUT].is_object());
    assert!(claims["jti"].as_str().is_some_and(|id| !id.is_empty()));
    let seconds = |name: &str| claims.get(name).map(|at| at.as_f64().expect("a number"));
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let (now, issued) = (NOW as f64, seconds("iat").expect("iat"));
    assert!(now - issued <= 300.0 && seconds("exp").is_none_or(|exp| exp > now));
    let named = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    assert_eq!(logout.subject, named("sub"));
    match logout.ended {
        Ended::Session(id) => assert!(!id.is_empty() && Some(id) == named("sid")),
        Ended::Subject(id) => {
            assert!(!id.is_empty() && Some(id) == named("sub") && !claims.contains_key("sid"))
        }
    }
}

/// Changes `genuine` as `edits` say: each three bytes are a position, and the byte that it gets.
fn edited(genuine: &str, edits: &[u8]) -> Vec<u8> {
    let mut text = genuine.as_bytes().to_vec();
    for edit in edits.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % text.len();
        text[place] = edit[2];
    }
    text
}

/// A byte that says what follows, a `Cookie` header or changes to a genuine cookie: only the cookie that the gate wrote is a flow, and
/// no header makes it write anything but deletions of its own cookies.
pub fn flow_cookie(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    let cookies = FlowCookies::new(&SECRET.into(), &[], true);
    let flow = flow(Display::Page);
    let set = cookies.set(&flow, now(), &Fixed);
    let genuine = set.split(';').next().expect("there is one part");
    let (name, value) = genuine.split_once('=').expect("a cookie");
    let header = match kind % 2 {
        0 => data.to_vec(),
        _ => [name.as_bytes(), b"=", &edited(value, data)].concat(),
    };
    // The HTTP server accepts no others.
    if HeaderValue::from_bytes(&header).is_err() {
        return;
    }
    let header = CookieHeader::new(std::iter::once(&header[..]));
    let found = cookies.find(&header, &flow.state, now());
    assert_eq!(
        found.is_some(),
        header.get(name) == Some(value),
        "another text is a flow"
    );
    assert!(found.is_none_or(|found| found == flow));
    assert!(cookies.find(&header, "another state", now()).is_none());
    let later = now() + Duration::from_secs(601);
    assert!(cookies.find(&header, &flow.state, later).is_none());
    for deletion in cookies.make_room(&header, now()) {
        assert!(deletion.starts_with("__Host-gate_flow_"), "{deletion:?}");
        assert!(deletion.contains("; Max-Age=0"), "{deletion:?}");
        assert!(
            HeaderValue::from_str(&deletion).is_ok() && deletion.is_ascii(),
            "{deletion:?}"
        );
        let (name, rest) = deletion.split_once('=').expect("a cookie");
        assert!(!name.contains(';'), "{deletion:?}");
        assert!(
            rest.starts_with(';') || rest.starts_with("\"\";"),
            "{deletion:?}"
        );
    }
    cookies.attempts(&header);
}

/// A byte that says what follows, any text or changes to a genuine one: a frame takes over what its own popup handed over, and nothing
/// else.
pub fn handover(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    let frame = flow(Display::Frame);
    let popup = flow(Display::Popup).for_frame(frame.digest());
    let (id_token, _) = id_token(&popup);
    let body = br#"{"sub": "ann", "groups": []}"#.to_vec();
    let sign_in = sign_in(Answers {
        id_token,
        userinfo: plain,
        body,
    });
    let query = format!("code=c&state={}&iss={ISSUER}", popup.state);
    let callback = Callback::parse(&query).expect("an answer");
    let party = sign_in.party(None).expect("the only one");
    let completed =
        ready(sign_in.finish(party, &callback, &popup, now(), &NoObserver)).expect("a sign-in");
    let genuine = sign_in.hand_over(&completed, now()).expect("it is a popup");
    let text = match kind % 2 {
        0 => data.to_vec(),
        _ => edited(&genuine, data),
    };
    let Ok(text) = std::str::from_utf8(&text) else {
        return;
    };
    let cookies = FlowCookies::new(&SECRET.into(), &[], true);
    let set = cookies.set(&frame, now(), &Fixed);
    let take_over = |cookie: &str, at| {
        let header = CookieHeader::new(std::iter::once(cookie.as_bytes()));
        ready(sign_in.take_over(text, &header, at, &NoObserver)).is_ok()
    };
    let cookie = set.split(';').next().expect("there is one part");
    assert_eq!(
        take_over(cookie, now()),
        text == genuine,
        "another text is taken over"
    );
    assert!(!take_over("", now()), "without the frame's cookie");
    assert!(
        !take_over(cookie, now() + Duration::from_secs(121)),
        "too late"
    );
}
