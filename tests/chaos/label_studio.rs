//! What stands behind nginx: it answers with the cookies that Label Studio would have received.

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

/// The header that tells this answer from one of nginx or the gate.
pub const SEEN: &str = "x-seen-cookie";

/// Starts the server on a thread of its own, and returns its port.
pub fn start() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async {
            let server = HttpServer::new(|| App::new().default_service(web::to(seen)));
            let server = server.workers(1).backlog(4096).disable_signals();
            let server = server.listen(listener).expect("a listener");
            let _ = server.run().await;
        });
    });
    port
}

async fn seen(request: HttpRequest) -> HttpResponse {
    let cookies = request.headers().get("Cookie");
    let cookies = cookies.and_then(|value| value.to_str().ok()).unwrap_or("");
    HttpResponse::Ok().insert_header((SEEN, cookies)).finish()
}
