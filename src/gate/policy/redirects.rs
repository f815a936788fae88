//! Protects against open redirects.
//!
//! Stage: after a sign-in or sign-out. In: the `next` parameter of the request. Out: a redirect
//! target. Afterwards, the browser stays on the same origin, whatever `next` was.

#[cfg(test)]
mod tests;

/// Returns `next` if it is a path on the same origin, and `/` otherwise.
///
/// A browser reads a backslash as a slash and drops tabs and line feeds (WHATWG URL, "path state"),
/// so it reads `/\evil.test` as another host.
pub fn local_path(next: &str) -> &str {
    let mut bytes = next.bytes();
    let local = bytes.next() == Some(b'/')
        && !matches!(bytes.next(), Some(b'/' | b'\\'))
        && next.bytes().all(|b| b > b' ' && b != b'\\' && b < 0x7f);
    if local { next } else { "/" }
}
