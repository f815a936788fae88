//! Requests as bytes, because HTTP libraries send no strange ones and no part of one.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection to a server.
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The first header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        let field = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.trim())
    }
}

impl Connection {
    pub async fn to(url: &str) -> Self {
        let address = url.strip_prefix("http://").unwrap();
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            read: Vec::new(),
        }
    }

    /// Sends this much of a request. The other side may have answered and hung up before.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Reads one answer that states its length, after interim ones.
    pub async fn answer(&mut self) -> Answer {
        loop {
            let answer = self.next().await;
            if answer.status != 100 {
                return answer;
            }
        }
    }

    /// Reads one answer, which may be an interim one.
    pub async fn next(&mut self) -> Answer {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|end| end == b"\r\n\r\n") {
                break end;
            }
            assert!(self.more().await, "no answer: {:?}", self.seen());
        };
        let head = String::from_utf8_lossy(&self.read[..end]).into_owned();
        self.read.drain(..end + 4);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer {
            status,
            head,
            body: String::new(),
        };
        let length = answer.header("Content-Length");
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            assert!(self.more().await, "half an answer: {}", answer.head);
        }
        let body: Vec<u8> = self.read.drain(..length).collect();
        answer.body = String::from_utf8_lossy(&body).into_owned();
        answer
    }

    /// Whether the server ends the connection without another answer.
    pub async fn ends(&mut self) -> bool {
        self.read.is_empty() && !self.more().await
    }

    /// Whether more has come, and not the end.
    async fn more(&mut self) -> bool {
        let mut chunk = vec![0; 16 * 1024];
        let read = self.stream.read(&mut chunk);
        let read = tokio::time::timeout(Duration::from_secs(20), read).await;
        let read = read.unwrap_or_else(|_| panic!("nothing comes after {:?}", self.seen()));
        let read = read.unwrap_or(0);
        self.read.extend_from_slice(&chunk[..read]);
        read > 0
    }

    fn seen(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }
}
