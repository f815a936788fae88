//! Against a server whose connections end.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::startup::install_crypto;

/// What a server does with a request.
#[derive(Debug, Clone, Copy)]
enum Does {
    /// Answers it and leaves the connection open.
    Answers,
    /// Closes the connection.
    Closes,
    /// Resets the connection.
    Resets,
}
use Does::{Answers, Closes, Resets};

/// A server, and what it does with the requests of its first, second, ... connection. The task ends
/// when all of these came.
async fn server(connections: Vec<Vec<Does>>) -> (Url, JoinHandle<io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let served = tokio::spawn(async move {
        let mut open = Vec::new();
        for requests in connections {
            let (mut socket, _) = listener.accept().await?;
            for does in &requests {
                read_request(&mut socket).await?;
                match does {
                    Answers => {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        socket.write_all(answer).await?;
                    }
                    Closes => socket.shutdown().await?,
                    Resets => socket.set_zero_linger()?,
                }
            }
            if matches!(requests[..], [.., Answers]) {
                open.push(socket);
            }
        }
        Ok(())
    });
    let url = Url::parse(&format!("http://{address}/")).expect("a URL");
    (url, served)
}

/// Reads up to the empty line; no request here has a longer body than what came with it.
async fn read_request(socket: &mut TcpStream) -> io::Result<()> {
    let mut read = Vec::new();
    while !read.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        if socket.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

fn client() -> HttpClient {
    install_crypto();
    let limits = Limits {
        timeout: Duration::from_secs(5),
        max_bytes: 1024,
        redirects: 0,
        allow_http: true,
        ca_file: None,
    };
    HttpClient::new(&limits).expect("the system's certificates")
}

async fn get(client: &HttpClient, url: &Url) -> Result<Answer, NoAnswer> {
    client.get(url.clone(), HeaderMap::new()).await
}

/// The ways to send a POST request.
const POSTS: usize = 4;

/// A POST request in one of these ways.
async fn post(n: usize, client: &HttpClient, url: &Url) -> Result<Answer, NoAnswer> {
    let (url, headers) = (url.clone(), HeaderMap::new());
    match n {
        // As a code is exchanged.
        0 => {
            let request = http::Request::post(url.as_str()).body(b"code=x".to_vec());
            client.forward(request.expect("a request")).await
        }
        1 => client.post(url, headers, b"x".to_vec()).await,
        2 => client.post_form(url, headers, &[]).await,
        _ => client.send(Method::POST, url, headers).await,
    }
}

#[tokio::test]
async fn get_requests_survive_the_end_of_a_connection_that_was_kept_open() {
    let client = client();
    for end in [Closes, Resets] {
        let (url, served) = server(vec![vec![Answers, end], vec![Answers]]).await;
        get(&client, &url).await.expect("an answer");
        get(&client, &url)
            .await
            .expect("an answer to the request that met the end");
        served.await.expect("no panic").expect("two connections");
    }
}

/// The third connection would answer, so nothing but the limit on the second keeps it.
#[tokio::test]
async fn a_get_request_that_no_connection_answers_is_sent_twice() {
    let (url, served) = server(vec![vec![Resets], vec![Closes], vec![Answers]]).await;
    let client = client();
    let refused = get(&client, &url).await;
    assert!(matches!(refused, Err(NoAnswer::Failed(_))));
    get(&client, &url).await.expect("an answer");
    served.await.expect("no panic").expect("three connections");
}

/// A POST request may have done its work before its connection ended.
#[tokio::test]
async fn a_post_request_is_sent_once() {
    let client = client();
    for end in [Closes, Resets] {
        for n in 0..POSTS {
            let (url, served) = server(vec![vec![end], vec![Answers]]).await;
            let cut = post(n, &client, &url).await;
            assert!(matches!(cut, Err(NoAnswer::Failed(_))), "{end:?} {n}");
            // The connection that would have answered it again.
            get(&client, &url).await.expect("an answer");
            served.await.expect("no panic").expect("two connections");
        }
    }
}

/// So it never meets the end of a connection that the server was about to close.
#[tokio::test]
async fn a_post_request_has_a_connection_of_its_own() {
    let client = client();
    for n in 0..POSTS {
        let connections = vec![vec![Answers, Answers], vec![Answers], vec![Answers]];
        let (url, served) = server(connections).await;
        for _ in 0..2 {
            get(&client, &url).await.expect("an answer");
        }
        for _ in 0..2 {
            let answer = post(n, &client, &url).await;
            answer.expect("an answer on a connection of its own");
        }
        served.await.expect("no panic").expect("three connections");
    }
}

#[tokio::test]
async fn idle_connections_are_left_before_servers_close_them() {
    let client = client();
    let (url, served) = server(vec![vec![Answers, Answers], vec![Answers]]).await;
    get(&client, &url).await.expect("an answer");
    get(&client, &url)
        .await
        .expect("an answer on the same connection");
    tokio::time::sleep(MAX_IDLE + Duration::from_millis(50)).await;
    get(&client, &url)
        .await
        .expect("an answer on another connection");
    served.await.expect("no panic").expect("two connections");
}
