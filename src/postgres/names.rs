//! Names of prepared statements that no two processes share.
//!
//! tokio-postgres names its statements s0, s1, … in every process. Behind a connection pooler,
//! several processes use one connection to the server, where one could run the other's statement
//! under the same name. So each name gets a prefix of this process on its way to the server. A name
//! that the server does not know is then an error (26000), and never another statement.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// The prefix of this process. Postgres cuts names off after 63 bytes.
static PREFIX: LazyLock<String> =
    LazyLock::new(|| format!("gate_{:016x}_", RandomState::new().hash_one(())));

/// Bytes to hold back before the writer has to wait for the network.
const HIGH_WATER: usize = 64 * 1024;

/// A connection to Postgres whose statements have unique names.
pub(super) struct UniqueNames<S> {
    stream: S,
    frames: Frames,
    /// What has yet to be written to `stream`, from `written`.
    outgoing: Vec<u8>,
    written: usize,
}

impl<S> UniqueNames<S> {
    /// Wraps a stream on which nothing has been sent since it was encrypted, if it is.
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            frames: Frames::default(),
            outgoing: Vec::new(),
            written: 0,
        }
    }
}

impl<S: AsyncWrite + Unpin> UniqueNames<S> {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.outgoing.len() {
            let rest = &self.outgoing[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        self.outgoing.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for UniqueNames<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.outgoing.len() - self.written > HIGH_WATER {
            ready!(self.poll_drain(cx))?;
        }
        let this = &mut *self;
        this.frames.push(bytes, &PREFIX, &mut this.outgoing)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for UniqueNames<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: TlsStream + Unpin> TlsStream for UniqueNames<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

/// Encrypts a stream with the inner connector; what is sent encrypted has unique names.
pub(super) struct UniqueTls<T>(pub(super) T);

impl<S, T> TlsConnect<S> for UniqueTls<T>
where
    T: TlsConnect<S>,
    T::Future: Send + 'static,
{
    type Stream = UniqueNames<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, T::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let encrypted = self.0.connect(stream);
        Box::pin(async move { Ok(UniqueNames::new(encrypted.await?)) })
    }
}

/// Splits what is sent into messages (PostgreSQL 15, §55.7). Only the first has no tag.
#[derive(Default)]
struct Frames {
    /// The beginning of a message whose end has yet to come.
    incomplete: Vec<u8>,
    started: bool,
}

impl Frames {
    /// Appends the messages that `bytes` complete to `outgoing`, with `prefix` before the names of
    /// statements.
    fn push(&mut self, bytes: &[u8], prefix: &str, outgoing: &mut Vec<u8>) -> io::Result<()> {
        self.incomplete.extend_from_slice(bytes);
        let mut rest = self.incomplete.as_slice();
        loop {
            let tag = usize::from(self.started);
            let Some(length) = rest.get(tag..).and_then(|body| body.first_chunk::<4>()) else {
                break;
            };
            let length = u32::from_be_bytes(*length) as usize;
            if length < 4 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let Some((message, after)) = rest.split_at_checked(tag + length) else {
                break;
            };
            match statement_name(message).filter(|_| self.started) {
                Some(name) => insert(message, name, prefix, outgoing),
                None => outgoing.extend_from_slice(message),
            }
            self.started = true;
            rest = after;
        }
        let complete = self.incomplete.len() - rest.len();
        self.incomplete.drain(..complete);
        Ok(())
    }
}

/// Where the message has the name of a prepared statement. The unnamed statement has none.
fn statement_name(message: &[u8]) -> Option<usize> {
    /// Length of the tag and the message's length.
    const HEADER: usize = 5;
    let body = message.get(HEADER..)?;
    let name = match message[0] {
        // Parse: the name is first.
        b'P' => 0,
        // Bind: after the portal's name.
        b'B' => body.iter().position(|byte| *byte == 0)? + 1,
        // Describe and Close: after what is described or closed, here a statement.
        b'D' | b'C' if body.first() == Some(&b'S') => 1,
        _ => return None,
    };
    (*body.get(name)? != 0).then_some(HEADER + name)
}

fn insert(message: &[u8], at: usize, prefix: &str, outgoing: &mut Vec<u8>) {
    let length = message.len() - 1 + prefix.len();
    outgoing.push(message[0]);
    outgoing.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    outgoing.extend_from_slice(&message[5..at]);
    outgoing.extend_from_slice(prefix.as_bytes());
    outgoing.extend_from_slice(&message[at..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(tag: &str, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).expect("short").to_be_bytes();
        [tag.as_bytes(), &length, body].concat()
    }

    /// What tokio-postgres sends, and what the server gets.
    fn conversation() -> (Vec<u8>, Vec<u8>) {
        let pairs: &[(&str, &[u8], &[u8])] = &[
            // The startup message begins like a Parse message, but has no tag.
            ("", b"P\0\0\x07s1\0", b"P\0\0\x07s1\0"),
            ("p", b"md5\0", b"md5\0"),
            ("P", b"s1\0SELECT $1\0\0\0", b"gate_s1\0SELECT $1\0\0\0"),
            ("D", b"Ss1\0", b"Sgate_s1\0"),
            ("S", b"", b""),
            (
                "B",
                b"\0s1\0\0\0\0\x01\0\0\0\0\0\0",
                b"\0gate_s1\0\0\0\0\x01\0\0\0\0\0\0",
            ),
            ("B", b"p7\0s1\0\0\0\0\0\0\0", b"p7\0gate_s1\0\0\0\0\0\0\0"),
            ("D", b"Pp7\0", b"Pp7\0"),
            ("E", b"p7\0\0\0\0\0", b"p7\0\0\0\0\0"),
            ("C", b"Pp7\0", b"Pp7\0"),
            ("C", b"Ss1\0", b"Sgate_s1\0"),
            // The unnamed statement.
            ("P", b"\0SELECT 's1'\0\0\0", b"\0SELECT 's1'\0\0\0"),
            ("B", b"\0\0\0\0\0\0\0\0", b"\0\0\0\0\0\0\0\0"),
            ("D", b"S\0", b"S\0"),
            ("Q", b"SELECT 's1'\0", b"SELECT 's1'\0"),
            ("X", b"", b""),
        ];
        let sent = pairs.iter().flat_map(|(tag, body, _)| message(tag, body));
        let received = pairs.iter().flat_map(|(tag, _, body)| message(tag, body));
        (sent.collect(), received.collect())
    }

    proptest! {
        #[test]
        fn statements_are_renamed_however_the_messages_are_cut(
            cuts in prop::collection::vec(1_usize..40, 1..40),
        ) {
            let (sent, received) = conversation();
            let mut frames = Frames::default();
            let mut outgoing = Vec::new();
            let mut rest = sent.as_slice();
            for cut in cuts.iter().cycle() {
                let (chunk, after) = rest.split_at((*cut).min(rest.len()));
                frames.push(chunk, "gate_", &mut outgoing).expect("well-formed");
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(outgoing, received);
        }

        #[test]
        fn arbitrary_bytes_are_an_error_and_never_a_panic(bytes: Vec<u8>) {
            let mut outgoing = Vec::new();
            let _ = Frames::default().push(&bytes, "gate_", &mut outgoing);
        }
    }

    #[test]
    fn the_prefix_fits_into_a_name_and_is_this_processes_own() {
        assert!(
            PREFIX.len() + usize::MAX.to_string().len() < 63,
            "{}",
            *PREFIX
        );
        let other = format!("gate_{:016x}_", RandomState::new().hash_one(()));
        assert_ne!(*PREFIX, other);
    }
}
