//! Tokens from Java, as `deploy/examples` shows them. They need a JDK: `tests/java/run`.

use std::path::Path;
use std::process::Command;

use crate::support::token::SHARED_SECRET;
use crate::world::{ISSUER, World};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/examples");

/// What `command` prints: a token.
#[track_caller]
fn printed(command: &mut Command) -> String {
    let output = tokio::task::block_in_place(|| command.output().unwrap());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn expect_login(world: &World, token: &str, method: &str) {
    let answer = world.browser().with_token(token).get("/").await;
    answer
        .expect(200, "session_opened")
        .expect_user(&world.ann)
        .expect_header("X-Gate-Method", Some(method));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a JDK: tests/java/run"]
async fn tokens_of_the_java_example_log_in() {
    let world = World::new(&[ISSUER]).await;
    let java = || {
        let mut java = Command::new("java");
        java.arg(Path::new(EXAMPLES).join("java/LabelStudioToken.java"));
        java
    };
    let last_name = "Müller \"\\\n\t김";
    let token = printed(
        java()
            .args(["sign", &world.ann.email, "Ann", last_name])
            .env("JWT_SSO_SECRET", SHARED_SECRET),
    );
    expect_login(&world, &token, "external").await;
    let query = format!("SELECT last_name FROM htx_user WHERE id = {}", world.ann.id);
    assert_eq!(world.database.text(&query).await, last_name);

    let request = |api_token: &str| {
        let mut java = java();
        java.args(["request", &world.ann.email])
            .env("LABEL_STUDIO_URL", &world.app.url)
            .env("LABEL_STUDIO_API_TOKEN", api_token);
        java
    };
    let token = printed(&mut request(&world.superuser.key));
    expect_login(&world, &token, "native").await;
    let refused = tokio::task::block_in_place(|| request("0123456789abcdef").output().unwrap());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("no token: 401"),
        "{said}"
    );
}

/// `java.md` has a class that needs jjwt, whose jars `GATE_TEST_JJWT` names.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a JDK and jjwt: tests/java/run"]
async fn tokens_of_jjwt_log_in() {
    let jars = std::env::var("GATE_TEST_JJWT").expect("GATE_TEST_JJWT names the jars of jjwt");
    let document = std::fs::read_to_string(Path::new(EXAMPLES).join("java.md")).unwrap();
    let snippets = document.split("```java\n").skip(1);
    let snippets = snippets.map(|rest| rest.split("```").next().unwrap());
    let class = snippets
        .into_iter()
        .find(|snippet| snippet.contains("io.jsonwebtoken"));
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("LabelStudioToken.java");
    let with_main = class.unwrap().replacen(
        "public final class LabelStudioToken {\n",
        "public final class LabelStudioToken {\n\
         public static void main(String[] a) { System.out.println(of(a[0], a[1], a[2])); }\n",
        1,
    );
    std::fs::write(&source, with_main).unwrap();
    let world = World::new(&[ISSUER]).await;
    let token = printed(
        Command::new("java")
            .args(["--class-path", &jars])
            .arg(&source)
            .args([world.ann.email.as_str(), "Ann", "Lee"])
            .env("JWT_SSO_SECRET", SHARED_SECRET),
    );
    expect_login(&world, &token, "external").await;
}
