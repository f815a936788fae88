//! Malformed tokens, other encodings of a valid token, and invalid signatures.

use proptest::prelude::*;

use super::*;

/// Correctly signed, but malformed or with an unsupported header.
#[test]
fn signed_but_malformed_token_is_refused() {
    for &algorithm in ALGORITHMS {
        let key = &signer(algorithm).encoding;
        let claims = good_claims().to_string();
        let header = |more: &str| format!(r#"{{"alg":"{algorithm:?}"{more}}}"#).into_bytes();
        let seal = |header: &[u8], claims: &[u8]| signed_bytes(algorithm, key, header, claims);
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
        // Longer than the limit.
        let long = format!(r#","x":"{}""#, "x".repeat(20_000));
        attacks.push(seal(&header(&long), claims.as_bytes()));
        assert_refused(algorithm, &attacks);
    }
}

/// A token has exactly one encoding (RFC 7515 §2: base64url without padding, white space or other
/// additions; RFC 4648 §3.5).
#[test]
fn token_has_exactly_one_encoding() {
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
        // Non-zero bits after the last byte.
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

/// CVE-2022-21449 and similar: invalid signatures.
#[test]
fn invalid_signature_is_refused() {
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
        // The same signature under the name of every other algorithm.
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

    /// A token with any bit of its header, claims or signature flipped is refused.
    #[test]
    fn token_with_a_flipped_bit_is_refused(part in 0_usize..3, at in any::<prop::sample::Index>(), bit in 0_u8..8) {
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
