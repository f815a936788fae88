//! Some entries of a session.
//!
//! A check reads a session on every request and needs six of its entries. The others are skipped
//! without being stored.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::session::SessionEntries;

/// The entries of a session that were asked for.
pub struct SessionExcerpt(Vec<(&'static str, Value)>);

/// Shows the names but never the values.
impl fmt::Debug for SessionExcerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

impl SessionEntries for SessionExcerpt {
    fn get(&self, name: &str) -> Option<&Value> {
        // Of two entries with one name, the last counts, as in Python.
        let found = self.0.iter().rev().find(|(own, _)| *own == name);
        found.map(|(_, value)| value)
    }
}

impl SessionExcerpt {
    /// Reads the entries with these names from a JSON object.
    pub(super) fn read(json: &str, names: &'static [&'static str]) -> Option<Self> {
        let mut json = serde_json::Deserializer::from_str(json);
        let excerpt = Entries(names).deserialize(&mut json).ok()?;
        json.end().ok()?;
        Some(Self(excerpt))
    }
}

/// An object of which these entries are wanted.
struct Entries(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Entries {
    type Value = Vec<(&'static str, Value)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(&'static str, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut found = Vec::with_capacity(self.0.len());
        while let Some(name) = map.next_key_seed(Name(self.0))? {
            match name {
                Some(name) => found.push((name, map.next_value()?)),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

/// A name that may be one of these.
struct Name(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().find(|wanted| **wanted == name).copied())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NAMES: &[&str] = &["a", "b", "c"];

    #[test]
    fn wanted_entries_are_read_and_others_skipped() {
        let read = |json: &str| SessionExcerpt::read(json, NAMES);
        let excerpt =
            read(r#"{"x":{"a":1},"a":1,"b":[2,"\u00fc"],"a":3,"y":[]} "#).expect("an object");
        assert_eq!(excerpt.get("a"), Some(&json!(3)), "the last one");
        assert_eq!(excerpt.get("b"), Some(&json!([2, "\u{fc}"])));
        assert_eq!((excerpt.get("c"), excerpt.get("x")), (None, None));
        for broken in [
            "",
            "[]",
            "1",
            r#"{"a":1"#,
            r#"{"a":1} x"#,
            r#"{"x":}"#,
            r#"{"x":"\q"}"#,
        ] {
            assert!(read(broken).is_none(), "{broken}");
        }
    }
}
