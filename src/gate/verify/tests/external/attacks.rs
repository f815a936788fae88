//! Known attacks on tokens, for each algorithm and key source, and every bit flip of a valid token.
//!
//! All these tokens have valid claims, so accepting one would let an attacker in. Each must be
//! refused before its claims are checked.

use super::*;

mod encoding;

/// Defects of the signature or the header.
#[test]
fn token_cannot_choose_how_it_is_verified() {
    use CredentialError::*;
    let claims = good_claims();
    for &algorithm in ALGORITHMS {
        let own = signer(algorithm);
        let good = own.sign(&Header::new(algorithm), &claims);
        let (signed, signature) = good.rsplit_once('.').expect("three parts");
        let payload = signed.split('.').nth(1).expect("a payload");
        let header = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let named = format!("{algorithm:?}");
        let hmac = !matches!(
            algorithm,
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
        );
        let mut rows = vec![
            (
                "unsigned",
                format!("{}.{payload}.", header(r#"{"alg":"none"}"#)),
                TokenAlgorithmRefused,
            ),
            (
                "NONE",
                format!("{}.{payload}.{signature}", header(r#"{"alg":"NONE"}"#)),
                TokenAlgorithmRefused,
            ),
            (
                "no algorithm",
                format!("{}.{payload}.{signature}", header("{}")),
                TokenMalformed,
            ),
            (
                "crit",
                format!(
                    "{}.{payload}.{signature}",
                    header(&format!(r#"{{"alg":"{named}","crit":["exp"]}}"#))
                ),
                TokenHeaderRefused,
            ),
            (
                "the algorithm twice",
                format!(
                    "{}.{payload}.{signature}",
                    header(&format!(r#"{{"alg":"{named}","alg":"{named}"}}"#))
                ),
                TokenMalformed,
            ),
            (
                "a claim twice",
                format!(
                    "{}.{}.{signature}",
                    header(&format!(r#"{{"alg":"{named}"}}"#)),
                    URL_SAFE_NO_PAD.encode(claims.to_string().replacen('{', r#"{"exp":1,"#, 1)),
                ),
                TokenMalformed,
            ),
            ("no signature", format!("{signed}."), TokenSignatureInvalid),
            (
                "a signature of zeros",
                format!("{signed}.{}", "A".repeat(86)),
                TokenSignatureInvalid,
            ),
        ];
        if hmac && let Some(pem) = &own.pem {
            // The public key as an HMAC secret, the classic algorithm confusion.
            for secret in [pem.as_bytes(), pem.trim().as_bytes()] {
                let key = EncodingKey::from_secret(secret);
                let token = jws::encode(&Header::new(Algorithm::HS256), &claims, &key);
                rows.push((
                    "HS256 with the public key",
                    token.expect("signed"),
                    TokenAlgorithmRefused,
                ));
            }
        }
        for (what, token, expected) in rows {
            for (source, issuer) in sources(algorithm) {
                let found = judge(vec![issuer], &token);
                assert_eq!(found, Err(expected), "{algorithm:?}, {source}, {what}");
            }
        }
    }
}

/// Header parameters by which a token provides its own key or points to one.
const OWN_KEYS: &[&str] = &[
    r#""jku":"https://evil.test/keys""#,
    r#""x5u":"https://evil.test/chain.pem""#,
    r#""x5c":["MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA"]"#,
    r#""x5t":"AAAA","x5t#S256":"AAAA""#,
    r#""jwk":{"kty":"oct","k":"ZXZpbA"}"#,
    r#""jwk":{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
    r#""kid":"../../../../dev/null""#,
    r#""kid":"/dev/null""#,
    r#""kid":"/proc/self/environ""#,
    r#""kid":"file:///etc/passwd""#,
    r#""kid":"https://evil.test/key""#,
    r#""kid":"' UNION SELECT 'evil""#,
    r#""kid":"now' OR '1'='1""#,
    r#""kid":"now\u0000""#,
    r#""kid":"$(id)""#,
    r#""kid":"now""#,
    r#""kid":"""#,
    r#""kid":["now"]"#,
    r#""kid":{"now":1}"#,
    r#""kid":null"#,
];

/// Spellings of "no algorithm" and of algorithms that don't exist.
const NO_ALGORITHMS: &[&str] = &[
    r#""none""#,
    r#""None""#,
    r#""NONE""#,
    r#""nOnE""#,
    r#""none ""#,
    r#"" none""#,
    r#""none\u0000""#,
    r#""n\u006fne""#,
    r#""""#,
    "null",
    "0",
    "true",
    "[]",
    r#"["none"]"#,
    r#"["HS256"]"#,
    r#"{"alg":"HS256"}"#,
    r#""hs256""#,
    r#""HS256 ""#,
    r#""HS256\u0000""#,
    r#""HS1""#,
    r#""RS1""#,
    r#""ES256K""#,
    r#""ES512""#,
    r#""Ed448""#,
    r#""RSA-OAEP""#,
    r#""dir""#,
    r#""A256GCMKW""#,
    r#""PBES2-HS256+A128KW""#,
    r#""../HS256""#,
];

fn encode(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

/// A token with exactly these bytes, signed with `key`.
fn signed_bytes(algorithm: Algorithm, key: &EncodingKey, header: &[u8], claims: &[u8]) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = jws::sign(message.as_bytes(), key, algorithm);
    format!("{message}.{}", signature.expect("signed"))
}

fn good(algorithm: Algorithm) -> String {
    signer(algorithm).sign(&Header::new(algorithm), &good_claims())
}

/// Asserts that every attack is refused before its claims are checked.
fn assert_refused(algorithm: Algorithm, attacks: &[String]) {
    use CredentialError::*;
    let reasons = [
        TokenMalformed,
        TokenHeaderRefused,
        TokenAlgorithmRefused,
        TokenSignatureInvalid,
        TokenKeyUnknown,
    ];
    for (source, issuer) in sources(algorithm) {
        let verifier = Verifier {
            issuers: vec![issuer],
            ..no_methods()
        };
        for token in attacks {
            let credential = Credential::Token(token.as_str().into());
            let found = identity(&verifier, &credential);
            let refused = found
                .as_ref()
                .err()
                .is_some_and(|why| reasons.contains(why));
            assert!(refused, "{algorithm:?}, {source}: {token}: {found:?}");
        }
    }
}

/// A public key in every encoding that an attacker might have.
fn encodings(pem: &str) -> Vec<Vec<u8>> {
    let der = pem::parse(pem).expect("PEM").into_contents();
    let flat: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let key = spki::SubjectPublicKeyInfoRef::try_from(der.as_slice()).expect("a public key");
    let bits = key.subject_public_key.as_bytes().expect("whole bytes");
    vec![
        pem.into(),
        pem.trim_end().into(),
        pem.replace('\n', "").into(),
        pem.replace('\n', "\r\n").into(),
        pem.replace('\n', "\\n").into(),
        flat.into(),
        encode(&der).into(),
        bits.to_vec(),
        bits[1..].to_vec(),
        der,
        Vec::new(),
    ]
}

/// RFC 8725 §2.1: the public key, which everyone has, as an HMAC secret.
#[test]
fn public_key_is_never_an_hmac_secret() {
    for &algorithm in ALGORITHMS {
        let own = signer(algorithm);
        let Some(pem) = &own.pem else { continue };
        let claims = good_claims().to_string();
        let mut secrets = encodings(pem);
        secrets.push(own.jwk(algorithm, "now").to_string().into());
        let mut attacks = Vec::new();
        for secret in secrets {
            let key = EncodingKey::from_secret(&secret);
            for hmac in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                // Name the HMAC algorithm, or the key's algorithm.
                for named in [hmac, algorithm] {
                    let header = format!(r#"{{"alg":"{named:?}","kid":"now"}}"#);
                    attacks.push(signed_bytes(
                        hmac,
                        &key,
                        header.as_bytes(),
                        claims.as_bytes(),
                    ));
                }
            }
        }
        assert_refused(algorithm, &attacks);
    }
}

#[test]
fn token_cannot_disable_verification_or_provide_its_own_key() {
    for &algorithm in ALGORITHMS {
        let good = good(algorithm);
        let (signed, signature) = good.rsplit_once('.').expect("three parts");
        let payload = signed.split_once('.').expect("two parts").1;
        let mut attacks = Vec::new();
        for spelling in NO_ALGORITHMS {
            for header in [
                format!(r#"{{"alg":{spelling}}}"#),
                format!(r#"{{"typ":"JWT","alg":{spelling},"kid":"now"}}"#),
            ] {
                for signature in ["", signature, "AA"] {
                    attacks.push(format!("{}.{payload}.{signature}", encode(&header)));
                }
            }
        }
        // An attacker's key, or no key, under this algorithm.
        let claims = good_claims().to_string();
        let evil = EncodingKey::from_secret(b"evil");
        let empty = EncodingKey::from_secret(b"");
        for own_key in OWN_KEYS {
            let header = format!(r#"{{"alg":"{algorithm:?}",{own_key}}}"#);
            for key in [&evil, &empty] {
                attacks.push(signed_bytes(
                    Algorithm::HS256,
                    key,
                    header.as_bytes(),
                    claims.as_bytes(),
                ));
            }
            attacks.push(format!("{}.{payload}.{signature}", encode(&header)));
        }
        assert_refused(algorithm, &attacks);
    }
}
