//! `Cookie` headers: Label Studio reads the same session as the gate.

use std::collections::BTreeMap;

use label_studio_gate::gate::cookies::CookieHeader;
use proptest::prelude::*;
use serde_json::Value;

use super::ask;
use crate::checks::cookies::{SERVERS, cookie_header, keep_session, parse_cookie, text};

/// Headers that were once read differently, or nearly so.
const KEPT: &[&[u8]] = &[
    b"",
    b"sessionid=a; sessionid=b",
    b"\xc2\xa0sessionid=evil",
    b"\xa0sessionid=evil; sessionid=mine",
    b"sessionid=\"\\145vil\"; sessionid=mine",
    b"sessionid=mine; sessionid\xe2\x80\x83=\"e\\\"vil\"",
    b"sessionid=mine; \xe3\x80\x80 sessionid =evil\xc2\x85",
    b"sessionid=\"; ls_auth_token=\"\\\\\\141\"",
    b"x=\"\\400\\8\\\"; =sessionid; sessionid; ; ;sessionid=\"a\\",
    b"sessionid=x\xc3; \xe2\x80sessionid=y; sessionid=\xf0\x9f",
    b"sessionid=\xff; sessionid=\" y\"",
    b"sessionid=\xff; sessionid=\"\"y\"\"",
    b"\x1csessionid\x0b=\x1fx\x0c; sessionid\x1d=y",
];

fn header() -> impl Strategy<Value = Vec<u8>> {
    let words = proptest::sample::select(vec![
        &b"sessionid"[..],
        b"ls_auth_token",
        b"csrftoken",
        b"=",
        b"=",
        b";",
        b"; ",
        b"\"",
        b"\"",
        b"\\",
        b"\\1",
        b"\\101",
        b"\\777",
        b" ",
        b"\t",
        b"\x0b",
        b"\x0c",
        b"\x1c",
        b"\x1f",
        b"\x7f",
        b"\xa0",
        b"\x85",
        b"\xc2\xa0",
        b"\xc2\x85",
        b"\xe2\x80\x83",
        b"\xe3\x80\x80",
        b"\xe1\x9a\x80",
        b"\xef\xbb\xbf",
        b"\xc3",
        b"\xff",
        b"x",
        b"mine",
        b"evil",
        b",",
    ]);
    let piece = prop_oneof![
        9 => words.prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(1_u8.., 1..3),
    ];
    // No server passes on a line feed or a carriage return in a header.
    proptest::collection::vec(piece, 0..20).prop_map(|pieces| {
        let mut header = pieces.concat();
        header.retain(|byte| !matches!(byte, b'\r' | b'\n'));
        header
    })
}

type Cookies = BTreeMap<String, String>;

fn check(headers: &[Vec<u8>]) {
    let forwarded: Vec<(Vec<u8>, Option<String>)> = headers
        .iter()
        .map(|bytes| {
            cookie_header(bytes);
            let header = CookieHeader::new(std::iter::once(bytes.as_slice()));
            let (kept, judged) = keep_session(&header);
            (
                kept.unwrap_or_else(|| bytes.clone()),
                judged.map(str::to_owned),
            )
        })
        .collect();
    let all = headers
        .iter()
        .chain(forwarded.iter().map(|(header, _)| header));
    let all: Vec<&Vec<u8>> = all.collect();
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let cases: Vec<Value> = all.iter().map(|bytes| hex(bytes).into()).collect();
    for answers in ask("cookies", &cases) {
        for (bytes, answer) in all.iter().zip(&answers) {
            let read: BTreeMap<String, Cookies> = serde_json::from_value(answer.clone()).unwrap();
            for server in SERVERS {
                // The fuzzer's model of Django agrees with Django.
                let ours = parse_cookie(&text(server, bytes));
                assert_eq!(ours, read[&format!("{server:?}")], "{server:?} {bytes:x?}");
            }
        }
        let of_forwarded = &answers[headers.len()..];
        for ((bytes, judged), answer) in forwarded.iter().zip(of_forwarded) {
            for (server, cookies) in answer.as_object().unwrap() {
                let session = cookies.get("sessionid").and_then(Value::as_str);
                assert_eq!(session, judged.as_deref(), "{server} {bytes:x?}");
            }
        }
    }
}

#[test]
fn stored_headers_are_read_alike() {
    check(
        &KEPT
            .iter()
            .map(|header| header.to_vec())
            .collect::<Vec<_>>(),
    );
}

proptest! {
    #[test]
    fn headers_are_read_alike(headers in proptest::collection::vec(header(), 16)) {
        check(&headers);
    }
}
