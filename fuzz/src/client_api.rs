//! The host application's answer: only 200 with an object names a user, and no cookie can open the circuit breaker.

use label_studio_gate::application_api::Verdict;
use serde_json::{Map, Value};

/// Two bytes of status, and the body.
pub fn client_api_answer(data: &[u8]) {
    let Some((status, body)) = data.split_first_chunk::<2>() else {
        return;
    };
    let status = 100 + u16::from_be_bytes(*status) % 900;
    match Verdict::of(status, body) {
        Verdict::Somebody(person) => {
            assert_eq!(status, 200);
            let object: Map<String, Value> = serde_json::from_slice(body).expect("an object");
            assert_eq!(*person, object);
        }
        Verdict::Nobody(_) => {
            assert!((400..500).contains(&status) && ![408, 429].contains(&status))
        }
        Verdict::Failed(_) => assert!(status >= 500 || [408, 429].contains(&status)),
        Verdict::Unusable(why) => assert!(status < 400 && !why.is_empty()),
    }
}
