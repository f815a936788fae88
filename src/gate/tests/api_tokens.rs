//! Label Studio's own tokens, against the vectors.

use super::*;

/// Where the gate judges otherwise than the class of simplejwt that a vector names, and why.
const OTHERWISE: &[(&str, &str)] = &[
    ("access_as_refresh", "the route takes both kinds"),
    ("refresh_as_access", "the route takes both kinds"),
    ("ls_full_as_access", "the route takes both kinds"),
    (
        "sub_int",
        "PyJWT's own rule for sub, which says nothing here",
    ),
    (
        "blacklisted_full",
        "the blacklist is a table: tests/api/tokens.rs",
    ),
    (
        "ls_truncated_with_TruncatedLSAPIToken",
        "without its signature it proves nothing",
    ),
];

#[tokio::test]
async fn label_studios_own_tokens_are_judged_as_simplejwt_judges_them() {
    let vectors: Value = serde_json::from_str(include_str!("../../../tests/vectors/jwt.json"))
        .expect("the vectors are JSON");
    let secret = SecretString::from(vectors["secret_key"].as_str().expect("text"));
    let mut judged = 0;
    for case in vectors["verify"].as_array().expect("a list") {
        let name = case["name"].as_str().expect("text");
        let at = moment(case["at"].as_str().expect("text"));
        let policy = IssuePolicy {
            lifetime: Duration::from_secs(600),
            user_id_claim: "user_id".to_owned(),
            legacy_always: false,
            create_users: false,
            staff_for_superusers: false,
        };
        let world = World::new(Engine::Database);
        let everybody = Arc::new(Memory {
            stored: world.stored.clone(),
            freshness: Freshness::Current,
        });
        let issuer = TokenIssuer::new(
            world.gate.users.clone(),
            ApiAuthenticator::new(&secret, [], everybody),
            &secret,
            policy,
            Arc::new(At(at)),
            Arc::new(Counting::default()),
        );
        let token = case["jwt"].as_str().expect("text");
        let outcome = issuer.authenticate(ApiCredential::Jwt(token)).await;
        let simplejwt = case["result"]["ok"] == true;
        let expected = simplejwt != OTHERWISE.iter().any(|(other, _)| *other == name);
        assert_eq!(outcome.is_ok(), expected, "{name}: {outcome:?}");
        if let Err(error) = outcome {
            assert_eq!(error, IssueError::InvalidCredential, "{name}");
        }
        judged += 1;
    }
    assert_eq!(judged, 29);
}

/// A moment as the vectors write it: `2023-11-14T22:13:20+00:00`.
fn moment(text: &str) -> SystemTime {
    let number = |range: std::ops::Range<usize>| text[range].parse::<u64>().expect("digits");
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Days from the civil calendar: the year begins in March, so that the leap day is its last.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = number(11..13) * 3600 + number(14..16) * 60 + number(17..19);
    SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400 + seconds)
}
