//! Label Studio's own tokens, checked against the vectors.

use super::*;

/// Where the gate differs from the simplejwt class that a vector names, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("access_as_refresh", "the route takes both kinds"),
    ("refresh_as_access", "the route takes both kinds"),
    ("ls_full_as_access", "the route takes both kinds"),
    (
        "sub_int",
        "PyJWT has its own rule for sub, which the gate doesn't use",
    ),
    (
        "blacklisted_full",
        "the blacklist is a table: tests/api/tokens.rs",
    ),
    (
        "ls_truncated_with_TruncatedLSAPIToken",
        "a token without a signature proves nothing",
    ),
];

#[tokio::test]
async fn label_studio_tokens_are_judged_like_simplejwt() {
    let vectors: Value = serde_json::from_str(include_str!("../../../tests/vectors/jwt.json"))
        .expect("the vectors are JSON");
    let secret = SecretString::from(vectors["secret_key"].as_str().expect("text"));
    let mut checked = 0;
    for case in vectors["verify"].as_array().expect("a list") {
        let name = case["name"].as_str().expect("text");
        let at = parse_time(case["at"].as_str().expect("text"));
        let policy = IssuePolicy {
            lifetime: Duration::from_secs(600),
            user_id_claim: "user_id".to_owned(),
            legacy_always: false,
            create_users: false,
            staff_for_superusers: false,
        };
        let world = World::new(Engine::Database);
        let api_tokens = Arc::new(Memory {
            stored: world.stored.clone(),
            freshness: Freshness::Current,
        });
        let issuer = TokenIssuer::new(
            world.gate.users.clone(),
            ApiAuthenticator::new(&secret, [], api_tokens),
            &secret,
            policy,
            Arc::new(At(at)),
            Arc::new(Counting::default()),
        );
        let token = case["jwt"].as_str().expect("text");
        let outcome = issuer
            .authenticate(ApiCredential::Jwt(token), &NoObserver)
            .await;
        let simplejwt = case["result"]["ok"] == true;
        let expected = simplejwt != DIFFERENCES.iter().any(|(other, _)| *other == name);
        assert_eq!(outcome.is_ok(), expected, "{name}: {outcome:?}");
        if let Err(error) = outcome {
            assert_eq!(error, IssueError::InvalidCredential, "{name}");
        }
        checked += 1;
    }
    assert_eq!(checked, 29);
}

/// Parses a time as the vectors write it: `2023-11-14T22:13:20+00:00`.
fn parse_time(text: &str) -> SystemTime {
    let number = |range: std::ops::Range<usize>| text[range].parse::<u64>().expect("digits");
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Days from the civil calendar, with years that start in March so that the leap day is the
    // last.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = number(11..13) * 3600 + number(14..16) * 60 + number(17..19);
    SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400 + seconds)
}
