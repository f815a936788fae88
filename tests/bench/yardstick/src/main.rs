//! An actix handler that does nothing: what a check could cost at best.

use actix_web::{App, HttpResponse, HttpServer, web};

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().and_then(|it| it.parse().ok()).expect("a port");
    let workers = arguments.next().and_then(|it| it.parse().ok()).expect("a number of workers");
    let app = || App::new().default_service(web::to(HttpResponse::Ok));
    HttpServer::new(app)
        .workers(workers)
        .bind(("127.0.0.1", port))?
        .run()
        .await
}
