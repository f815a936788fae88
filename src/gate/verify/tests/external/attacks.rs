//! Known attacks on tokens, for each algorithm and each source of its key, and each bit of a good token changed.
//!
//! None comes as far as the claims: they are good in all of these tokens, and whoever believed one would let somebody in.

use proptest::prelude::*;

use super::*;

/// What is wrong with signature or header, whatever the claims say.
#[test]
fn a_token_does_not_choose_how_it_is_verified() {
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
            // The public key as an HMAC secret, the classical confusion.
            for secret in [pem.as_bytes(), pem.trim().as_bytes()] {
                let key = EncodingKey::from_secret(secret);
                let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key);
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

/// The names of header parameters by which a token brings its own key or leads to one, and values for them.
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

/// Spellings of "no algorithm" and of none that there is.
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

/// A token of exactly these bytes, signed by `key`.
fn sealed(algorithm: Algorithm, key: &EncodingKey, header: &[u8], claims: &[u8]) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm);
    format!("{message}.{}", signature.expect("signed"))
}

fn good(algorithm: Algorithm) -> String {
    signer(algorithm).sign(&Header::new(algorithm), &good_claims())
}

/// Every attack is refused before a claim counts.
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
            ..nothing()
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

/// The bytes of a public key in every form in which somebody might have it at hand.
fn forms(pem: &str) -> Vec<Vec<u8>> {
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

/// RFC 8725 §2.1: the public key, which everybody has, as the secret of an HMAC.
#[test]
fn a_public_key_is_no_secret() {
    for &algorithm in ALGORITHMS {
        let own = signer(algorithm);
        let Some(pem) = &own.pem else { continue };
        let claims = good_claims().to_string();
        let mut secrets = forms(pem);
        secrets.push(own.jwk(algorithm, "now").to_string().into());
        let mut attacks = Vec::new();
        for secret in secrets {
            let key = EncodingKey::from_secret(&secret);
            for hmac in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                // Under its own name, and under the key's.
                for named in [hmac, algorithm] {
                    let header = format!(r#"{{"alg":"{named:?}","kid":"now"}}"#);
                    attacks.push(sealed(hmac, &key, header.as_bytes(), claims.as_bytes()));
                }
            }
        }
        assert_refused(algorithm, &attacks);
    }
}

#[test]
fn a_token_cannot_name_no_algorithm_or_bring_its_own_key() {
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
        // Somebody else's key, or none at all, under this algorithm.
        let claims = good_claims().to_string();
        let evil = EncodingKey::from_secret(b"evil");
        let empty = EncodingKey::from_secret(b"");
        for own_key in OWN_KEYS {
            let header = format!(r#"{{"alg":"{algorithm:?}",{own_key}}}"#);
            for key in [&evil, &empty] {
                attacks.push(sealed(
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

/// Signed as they should be: only what they are is wrong.
#[test]
fn what_is_signed_must_be_a_plain_token() {
    for &algorithm in ALGORITHMS {
        let key = &signer(algorithm).encoding;
        let claims = good_claims().to_string();
        let header = |more: &str| format!(r#"{{"alg":"{algorithm:?}"{more}}}"#).into_bytes();
        let seal = |header: &[u8], claims: &[u8]| sealed(algorithm, key, header, claims);
        let mut attacks: Vec<String> = [
            r#","crit":["exp"]"#,
            r#","crit":[]"#,
            r#","crit":"exp""#,
            r#","crit":null"#,
            r#","b64":false,"crit":["b64"]"#,
            r#","b64":false"#,
            r#","b64":true"#,
            r#","alg":"none""#,
            r#","\u0061lg":"none""#,
            r#","x":{"y":1,"y":2}"#,
            "}{",
        ]
        .iter()
        .map(|more| seal(&header(more), claims.as_bytes()))
        .collect();
        let twice = claims.replacen('{', r#"{"exp":1,"#, 1);
        let escaped = claims.replacen('{', r#"{"\u0065xp":1,"#, 1);
        let nested = good(algorithm);
        let deep = format!(r#"{{"a":{}}}"#, "[".repeat(10_000));
        let mut not_text = claims.clone().into_bytes();
        not_text[5] = 0xff;
        for payload in [
            twice.as_bytes(),
            escaped.as_bytes(),
            nested.as_bytes(),
            deep.as_bytes(),
            &not_text,
            b"",
            b"null",
            b"[]",
            b"{}{}",
            b"\xef\xbb\xbf{}",
            &claims
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<_>>(),
        ] {
            attacks.push(seal(&header(""), payload));
        }
        for bytes in [
            &b""[..],
            b"null",
            b"[]",
            b"\xff",
            b"{\"alg\":\"HS256\"",
            b"\xef\xbb\xbf{}",
        ] {
            attacks.push(seal(bytes, claims.as_bytes()));
        }
        let mut not_text = header(r#","x":"?""#);
        let at = not_text.len() - 3;
        not_text[at] = 0xff;
        attacks.push(seal(&not_text, claims.as_bytes()));
        // More than is read.
        let long = format!(r#","x":"{}""#, "x".repeat(20_000));
        attacks.push(seal(&header(&long), claims.as_bytes()));
        assert_refused(algorithm, &attacks);
    }
}

/// One token has one spelling (RFC 7515 §2: base64url without padding, white space or other additions; RFC 4648 §3.5).
#[test]
fn a_token_has_one_spelling() {
    for &algorithm in ALGORITHMS {
        let good = good(algorithm);
        let parts: Vec<&str> = good.split('.').collect();
        let [header, payload, signature] = parts[..] else {
            panic!("three parts");
        };
        let mut attacks = vec![
            format!("{good}."),
            format!(".{good}"),
            format!("{header}..{signature}"),
            format!("{header}.{payload}"),
            format!("{header}.{payload}."),
            format!("..{signature}"),
            format!("{good}.{signature}"),
            format!("{header}.{payload}.{signature}.x.y"),
            format!(
                r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#
            ),
            good.replace('.', "%2E"),
            good.replace('.', "\u{ff0e}"),
            format!("Bearer {good}"),
            format!("\"{good}\""),
        ];
        for addition in [
            "=", "==", " ", "\n", "\r\n", "\t", "\0", "\u{feff}", "+", "/", "%20", "A", "AAAA",
        ] {
            for part in 0..3 {
                for before in [true, false] {
                    let mut changed: Vec<String> = parts.iter().map(ToString::to_string).collect();
                    changed[part] = match before {
                        true => format!("{addition}{}", changed[part]),
                        false => format!("{}{addition}", changed[part]),
                    };
                    attacks.push(changed.join("."));
                }
            }
        }
        // Bits behind the last byte that are not zero.
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        for part in 0..3 {
            let last = parts[part].bytes().last().expect("a letter");
            let value = alphabet
                .iter()
                .position(|letter| *letter == last)
                .expect("base64url");
            for bit in [1, 2, 4, 8] {
                let mut changed: Vec<String> = parts.iter().map(ToString::to_string).collect();
                changed[part].pop();
                changed[part].push(char::from(alphabet[value ^ bit]));
                attacks.push(changed.join("."));
            }
        }
        assert_refused(algorithm, &attacks);
    }
}

/// CVE-2022-21449 and its kin: signatures that are none.
#[test]
fn an_empty_signature_signs_nothing() {
    for &algorithm in ALGORITHMS {
        let good = good(algorithm);
        let (signed, signature) = good.rsplit_once('.').expect("three parts");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        let length = signature.len();
        let mut one = vec![0; length];
        one[length - 1] = 1;
        let reversed: Vec<u8> = signature.iter().rev().copied().collect();
        let halves = [&signature[length / 2..], &signature[..length / 2]].concat();
        let padded = [&[0], signature.as_slice()].concat();
        let der = [&[0x30, 6, 2, 1, 0, 2, 1, 0], &signature[..0]].concat();
        let mut attacks: Vec<String> = [
            vec![],
            vec![0],
            vec![0; length],
            vec![0xff; length],
            vec![0; 64],
            vec![0; 96],
            vec![0; 256],
            one,
            reversed,
            halves,
            padded,
            der,
            signature[..length - 1].to_vec(),
            signature[1..].to_vec(),
            signature[..length / 2].to_vec(),
            [signature.as_slice(), &[0]].concat(),
            [signature.as_slice(), signature.as_slice()].concat(),
        ]
        .iter()
        .map(|signature| format!("{signed}.{}", encode(signature)))
        .collect();
        // The same signature under every other algorithm's name.
        let payload = signed.split_once('.').expect("two parts").1;
        for other in ALGORITHMS.iter().filter(|other| **other != algorithm) {
            let header = encode(format!(r#"{{"typ":"JWT","alg":"{other:?}"}}"#));
            attacks.push(format!("{header}.{payload}.{}", encode(&signature)));
        }
        assert_refused(algorithm, &attacks);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whichever bit of header, claims or signature is flipped, the token is worth nothing.
    #[test]
    fn no_flipped_bit_is_accepted(part in 0_usize..3, at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        for &algorithm in ALGORITHMS {
            let mut parts: Vec<Vec<u8>> = good(algorithm)
                .split('.')
                .map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64url"))
                .collect();
            let at = at.index(parts[part].len());
            parts[part][at] ^= 1 << bit;
            let flipped: Vec<String> = parts.iter().map(encode).collect();
            for (source, issuer) in sources(algorithm) {
                let found = judge(vec![issuer], &flipped.join("."));
                prop_assert!(found.is_err(), "{algorithm:?}, {source}: part {part}, byte {at}, bit {bit}");
            }
        }
    }
}
