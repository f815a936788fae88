//! Keys that are found one by one, by their ID: those of AWS load balancers.
//!
//! In: an address, and the ID that a token names. Out: a key in PEM form with that ID. Afterwards, only
//! a UUID has become part of a URL, and what the server doesn't know is no outage, because anybody can
//! make up an ID.

use reqwest::{StatusCode, Url};

use super::{KeyServer, ReadError};
use crate::gate::verify::{KeyError, KeySet};

/// Upper limit on the keys that are kept.
const MAX_KEYS: usize = 64;

impl KeyServer {
    /// The known keys and the one with this ID, if the server has it. Without an ID, reads the known
    /// ones again, and forgets those that the server doesn't have any more.
    pub(super) async fn read_by_id(
        &self,
        place: &Url,
        id: Option<&str>,
    ) -> Result<KeySet, ReadError> {
        let known = self.snapshot.load_full().unwrap_or_default();
        let Some(id) = id else {
            let mut keys = KeySet::default();
            for id in known.ids() {
                keys.extend(self.read_key(place, id).await?);
            }
            return Ok(keys);
        };
        let mut keys = match known.len() {
            ..MAX_KEYS => KeySet::clone(&known),
            _ => KeySet::default(),
        };
        if is_uuid(id) {
            keys.extend(self.read_key(place, id).await?);
        }
        Ok(keys)
    }

    /// The key with this ID; none if the server says that it has none, or if it is for other
    /// algorithms than the allowed ones.
    async fn read_key(&self, place: &Url, id: &str) -> Result<KeySet, ReadError> {
        let mut url = place.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(id);
        }
        let body = match self.get(url).await {
            Err(ReadError::Status(
                StatusCode::BAD_REQUEST
                | StatusCode::FORBIDDEN
                | StatusCode::NOT_FOUND
                | StatusCode::GONE,
            )) => return Ok(KeySet::default()),
            body => body?,
        };
        let text = std::str::from_utf8(&body).map_err(|_| KeyError::NotPem)?;
        let mut keys = KeySet::from_pem(text)?.named(id);
        if !self.allowed.is_empty() {
            keys.restrict(&self.allowed);
        }
        Ok(keys)
    }
}

/// RFC 9562 §4: hexadecimal digits in groups of 8, 4, 4, 4 and 12.
fn is_uuid(id: &str) -> bool {
    id.len() == 36 && uuid::Uuid::try_parse(id).is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_uuid;

    #[test]
    fn nothing_but_a_uuid_becomes_part_of_a_url() {
        assert!(is_uuid("8bdc6d55-2f4b-4f3a-9d3a-0123456789ab"));
        for id in [
            "",
            "..",
            "8bdc6d552f4b4f3a9d3a0123456789ab",
            "{8bdc6d55-2f4b-4f3a-9d3a-0123456789ab}",
            "8bdc6d55-2f4b-4f3a-9d3a-0123456789a/",
            "8bdc6d55-2f4b-4f3a-9d3a-0123456789ag",
            "8bdc6d55/2f4b/4f3a/9d3a/0123456789ab",
        ] {
            assert!(!is_uuid(id), "{id}");
        }
    }
}
