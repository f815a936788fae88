//! People at work on a site, each in a loop until the book is closed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all, join4};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::book::{Book, Person};
use crate::browser::Browser;
use crate::stack::Engine;
use crate::support::token::{SHARED_SECRET, native, now, sign};

/// Where they work.
pub struct Site {
    pub engine: Engine,
    /// nginx.
    pub url: String,
    /// Past the gate.
    pub label_studio: String,
    pub people: Vec<Person>,
    /// An administrator's API token.
    pub token: String,
}

/// Everybody at once.
pub async fn visit(site: Arc<Site>, book: Arc<Book>) {
    let regulars = site.people[..4].iter();
    let regulars = join_all(regulars.map(|person| stay(&site, &book, person)));
    let logins = join4(
        come(&site, &book),
        join_in(&site, &book),
        be_sent(&site, &book),
        switch(&site, &book),
    );
    join(join(regulars, logins), leave(&site, &book)).await;
}

async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// Keeps a session from the first minute to the last.
async fn stay(site: &Site, book: &Book, person: &Person) {
    let browser = Browser::new(&site.url).with_token(&native(person.id));
    book.ask(site, &browser, &person.email, true).await;
    while !book.is_closed() {
        // The session alone has to do.
        if browser
            .cookie("ls_auth_token")
            .is_some_and(|token| !token.is_empty())
        {
            book.complain(format!(
                "{}: the token's cookie is still there",
                person.email
            ));
        }
        book.ask(site, &browser, &person.email, false).await;
        pause(120).await;
    }
}

/// A new browser with a new token, again and again.
async fn come(site: &Site, book: &Book) {
    for person in site.people[4..8].iter().cycle() {
        if book.is_closed() {
            return;
        }
        let browser = Browser::new(&site.url).with_token(&native(person.id));
        book.ask(site, &browser, &person.email, true).await;
        pause(150).await;
    }
}

/// A token of the issuer for somebody whose account has to be created.
async fn join_in(site: &Site, book: &Book) {
    for number in 0.. {
        if book.is_closed() {
            return;
        }
        let email = format!("new{number}-{:?}@example.com", site.engine).to_lowercase();
        let claims = json!({"email": email, "first_name": "New", "iat": now(), "exp": now() + 600});
        let token = sign(Algorithm::HS256, SHARED_SECRET, &claims);
        let browser = Browser::new(&site.url).with_token(&token);
        book.ask(site, &browser, &email, true).await;
        pause(400).await;
    }
}

/// The application has the gate issue a token and sends the user along.
async fn be_sent(site: &Site, book: &Book) {
    let client = crate::support::client();
    for person in site.people[8..10].iter().cycle() {
        if book.is_closed() {
            return;
        }
        let request = client
            .post(format!("{}/api/sso/token", site.url))
            .header("Authorization", format!("Token {}", site.token))
            .json(&json!({"email": person.email}));
        let answer: Result<Value, _> = async { request.send().await?.json().await }.await;
        match answer.as_ref().map(|answer| answer["token"].as_str()) {
            Ok(Some(token)) => {
                book.count("tokens issued");
                let browser = Browser::new(&site.url).with_token(token);
                book.ask(site, &browser, &person.email, true).await;
            }
            _ => book.complain(format!("no token was issued: {answer:?}")),
        }
        pause(400).await;
    }
}

/// One browser, in which users take turns.
async fn switch(site: &Site, book: &Book) {
    let browser = Browser::new(&site.url);
    for person in site.people[10..12].iter().cycle() {
        if book.is_closed() {
            return;
        }
        browser.set("ls_auth_token", &native(person.id));
        book.ask(site, &browser, &person.email, false).await;
        book.ask(site, &browser, &person.email, false).await;
        pause(300).await;
    }
}

/// Signs out; with sessions in rows, nobody is logged in with the old cookie then.
async fn leave(site: &Site, book: &Book) {
    let person = &site.people[7];
    while !book.is_closed() {
        let browser = Browser::new(&site.url).with_token(&native(person.id));
        book.ask(site, &browser, &person.email, false).await;
        let session = browser.cookie("sessionid").unwrap_or_default();
        let answer = browser
            .client
            .post(browser.at("/sso/logout"))
            .header("Origin", &site.url)
            .send()
            .await;
        match answer {
            Ok(answer) if answer.status().is_redirection() || answer.status().is_success() => {
                book.count("signed out");
                if site.engine == Engine::Database {
                    still_out(site, book, &session).await;
                }
            }
            other => book.complain(format!("sign-out: {other:?}")),
        }
        pause(500).await;
    }
}

async fn still_out(site: &Site, book: &Book, session: &str) {
    let browser = Browser::new(&site.url);
    browser.set("sessionid", session);
    let answer = browser
        .client
        .get(browser.at(super::book::WHOAMI))
        .send()
        .await;
    if answer.is_ok_and(|answer| answer.status() == 200) {
        book.complain("a session that was signed out is alive".to_owned());
    }
}
