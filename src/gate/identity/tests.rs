use serde_json::json;

use super::*;

#[test]
fn an_email_address_has_one_at_sign() {
    for (text, expected) in [
        ("ann@example.com", true),
        ("ann+x@example.com", true),
        ("änn@exämple.com", true),
        ("ann@example.com@evil.test", false),
        ("\"ann@x\"@example.com", false),
        ("@example.com", false),
        ("ann@", false),
        ("ann", false),
        ("ann @example.com", false),
        ("ann@example.com\n", false),
    ] {
        assert_eq!(is_email_address(text), expected, "{text:?}");
    }
}

#[test]
fn user_id_is_a_positive_integer_or_a_string_of_its_digits() {
    for (value, expected) in [
        (json!(7), Some(7)),
        (json!("7"), Some(7)),
        (json!("2147483647"), Some(i32::MAX)),
        (json!("2147483648"), None),
        (json!(2_147_483_648_i64), None),
        (json!(true), None),
        (json!(7.0), None),
        (json!("7.0"), None),
        (json!("+7"), None),
        (json!("-7"), None),
        (json!(-7), None),
        (json!(0), None),
        (json!(""), None),
        (json!(" 7"), None),
        (json!("٧"), None),
        (json!([7]), None),
        (json!({"id": 7}), None),
        (json!(null), None),
    ] {
        assert_eq!(user_id(&value), expected, "{value}");
    }
}
