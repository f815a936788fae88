//! Keys that are found one by one, by their ID: those of AWS load balancers.
//!
//! In: an address, and the ID that a token names. Out: a key in PEM form with that ID. Afterwards, only
//! a UUID has become part of a URL, and what the server doesn't know is no outage, because anybody can
//! make up an ID. Made-up IDs neither delay nor evict other keys, until the server has been
//! asked about too many of them.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::{StatusCode, Url};
use tokio::time::Instant;

use super::{KeyServer, ReadError};
use crate::gate::verify::{KeyError, KeySet};

/// Upper limit on the keys that are kept.
const MAX_KEYS: usize = 64;

/// How many unknown IDs the server is asked about per cooldown.
const MAX_MISSED: usize = 64;

/// IDs that the server didn't know when it was asked, as long as the cooldown lasts.
#[derive(Debug, Default)]
pub(super) struct Missed(Vec<(String, Instant)>);

impl Missed {
    /// Whether to ask the server about `id`: it was not asked about it lately, nor about too many others.
    fn allows(&mut self, id: &str, cooldown: Duration) -> bool {
        self.0.retain(|(_, at)| at.elapsed() < cooldown);
        self.0.len() < MAX_MISSED && self.0.iter().all(|(missed, _)| missed != id)
    }

    fn note(&mut self, id: &str) {
        self.0.push((id.to_owned(), Instant::now()));
    }
}

impl KeyServer {
    /// Whether to ask the server for the key with this ID.
    pub(super) fn may_read(&self, id: &str) -> bool {
        let known = self.snapshot.load();
        let is_known = known.as_ref().is_some_and(|it| it.ids().any(|it| it == id));
        is_uuid(id) && !is_known && self.missed().allows(id, self.refresh.cooldown)
    }

    fn missed(&self) -> MutexGuard<'_, Missed> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }

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
        if !self.may_read(id) {
            return Ok(KeySet::clone(&known));
        }
        let found = self.read_key(place, id).await?;
        if found.is_empty() {
            self.missed().note(id);
        }
        // Evict only for a key that exists.
        let mut keys = match found.is_empty() || known.len() < MAX_KEYS {
            true => KeySet::clone(&known),
            false => KeySet::default(),
        };
        keys.extend(found);
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
