//! An HTTP server that gives the answers a test chooses, and records its requests.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Computes the answer to a request from its head, which a body follows if there is one.
type Answer = dyn Fn(&str) -> Reply + Send + Sync;

/// A response.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: String,
    pub body: Vec<u8>,
    pub after: Duration,
    /// Whether the connection is closed instead.
    pub hangs_up: bool,
}

impl Reply {
    /// No response: the connection ends once the request was read.
    pub fn hang_up() -> Self {
        Self {
            hangs_up: true,
            ..Self::of(0, "")
        }
    }

    pub fn json(value: &serde_json::Value) -> Self {
        Self::of(200, value.to_string())
    }

    pub fn of(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: String::new(),
            body: body.into(),
            after: Duration::ZERO,
            hangs_up: false,
        }
    }

    pub fn after(mut self, pause: Duration) -> Self {
        self.after = pause;
        self
    }
}

/// Answers that a test holds back.
#[derive(Clone, Default)]
pub struct Hold(Arc<AtomicBool>);

impl Hold {
    /// Lets go of them.
    pub fn release(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Waits until they are let go.
    pub fn wait(&self) {
        let is_released = || self.0.load(Ordering::SeqCst);
        super::wait_until(is_released, || "the answer is still held back".to_owned());
    }
}

/// The server. It lives until the test process ends.
pub struct Stub {
    pub port: u16,
    answer: Arc<Mutex<Arc<Answer>>>,
    asked: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    pub fn start(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let stub = Self {
            port: listener.local_addr().unwrap().port(),
            answer: Arc::new(Mutex::new(Arc::new(answer))),
            asked: Arc::default(),
            heads: Arc::default(),
        };
        let (answer, asked, heads) = (stub.answer.clone(), stub.asked.clone(), stub.heads.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = answer.lock().unwrap().clone();
                let (asked, heads) = (asked.clone(), heads.clone());
                std::thread::spawn(move || serve(stream, &*answer, &asked, &heads));
            }
        });
        stub
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Changes the answers from now on.
    pub fn now(&self, answer: impl Fn(&str) -> Reply + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Arc::new(answer);
    }

    /// The number of requests so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// The heads of the requests as they were received.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// The length of a request with its body.
fn full_length(head: &str) -> usize {
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    let end = head.find("\r\n\r\n").map_or(0, |end| end + 4);
    end + length.unwrap_or(0)
}

fn serve(mut stream: TcpStream, answer: &Answer, asked: &AtomicUsize, heads: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut chunk = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut chunk) {
            Ok(read) if read > 0 => head.extend_from_slice(&chunk[..read]),
            _ => return,
        }
    }
    let mut head = String::from_utf8_lossy(&head).into_owned();
    // A form belongs to what a test looks at. Unread, it would also reset the connection.
    while head.len() < full_length(&head) {
        match stream.read(&mut chunk) {
            Ok(read) if read > 0 => head.push_str(&String::from_utf8_lossy(&chunk[..read])),
            _ => return,
        }
    }
    asked.fetch_add(1, Ordering::SeqCst);
    heads.lock().unwrap().push(head.clone());
    let reply = answer(&head);
    std::thread::sleep(reply.after);
    if reply.hangs_up {
        return;
    }
    let start = format!(
        "HTTP/1.1 {} X\r\nContent-Length: {}\r\nConnection: close\r\n{}\r\n",
        reply.status,
        reply.body.len(),
        reply.headers
    );
    // The other side may hang up early.
    let _ = stream.write_all(start.as_bytes());
    let _ = stream.write_all(&reply.body);
    let _ = stream.shutdown(Shutdown::Write);
}
