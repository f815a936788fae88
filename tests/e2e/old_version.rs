//! A real Label Studio older than 1.14: Django 3.2, primary keys from sequences, no JWT API tokens,
//! no session policies.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::doctor::Doctor;
use crate::label_studio::{LabelStudio, migrate};
use crate::nginx::{Nginx, binaries};
use crate::programs::installed;
use crate::stack::{Engine, GateProcess};
use crate::support::cluster::CLUSTER;
use crate::support::token::{native, now, sign};

const SHARED: &str = "a-secret-of-the-tests-that-two-services-share";

/// The rows of a first sign-up: an organization, its owner, and the owner's API token.
const SEED: &str = "
import os, sys
sys.path.insert(0, os.getcwd())
os.environ['DJANGO_SETTINGS_MODULE'] = 'core.settings.label_studio'
import django
django.setup()
from django.contrib.auth import get_user_model
from organizations.models import Organization
from rest_framework.authtoken.models import Token
owner = get_user_model().objects.create_superuser(email='owner@example.com', username='owner', password='a-password-of-the-owner')
organization = Organization.create_organization(created_by=owner, title='Old')
owner.active_organization = organization
owner.save()
print(owner.id, Token.objects.get(user=owner).key)
";

#[tokio::test(flavor = "multi_thread")]
async fn logins_and_new_accounts_work_with_1_13() {
    let venv = installed("GATE_TEST_OLD_LABEL_STUDIO_VENV", "label-studio-1.13.1");
    let database = CLUSTER.fresh_name();
    CLUSTER.psql("postgres", &["-c", &format!("CREATE DATABASE {database}")]);
    let seeded = migrate(&venv, &database, &["-c", SEED]);
    let last = seeded.lines().last().unwrap();
    let (owner, key) = last.split_once(' ').unwrap();
    CLUSTER.grant(&database);
    let studio = LabelStudio::stock_of(&venv, &database);
    let settings = [
        ("JWT_SSO_SECRET", SHARED),
        ("JWT_SSO_AUTO_CREATE_USERS", "true"),
    ];
    let gate = GateProcess::start_with(Engine::SignedCookies, CLUSTER.port(), &database, &settings);
    let proxy = Nginx::start(&binaries()[0], &[gate.port], studio.port);

    let browser = Browser::new(&proxy.url).with_token(&native(owner.parse().unwrap()));
    assert_eq!(browser.whoami().await.as_deref(), Some("owner@example.com"));

    let claims =
        json!({"email": "new@example.com", "first_name": "Neu", "iat": now(), "exp": now() + 600});
    let token = sign(Algorithm::HS256, SHARED, &claims);
    let browser = Browser::new(&proxy.url).with_token(&token);
    assert_eq!(browser.whoami().await.as_deref(), Some("new@example.com"));
    for page in [
        "/projects/",
        "/user/account/",
        "/api/projects/",
        "/api/current-user/token",
    ] {
        assert_eq!(browser.get(page).await.status(), 200, "{page}");
    }
    let client = crate::support::client();
    let ask = async |path: &str, key: &str| -> Value {
        let request = client
            .get(format!("{}{path}", proxy.url))
            .header("Authorization", format!("Token {key}"));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    };
    let members = ask("/api/organizations/1/memberships?page_size=100", key).await;
    let emails: Vec<&Value> = members["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| &member["user"]["email"])
        .collect();
    assert!(emails.contains(&&json!("new@example.com")), "{emails:?}");
    let select = "SELECT key FROM authtoken_token t JOIN htx_user u ON u.id = t.user_id WHERE email = 'new@example.com'";
    let own = CLUSTER.psql(&database, &["-c", select]);
    let whoami = ask("/api/current-user/whoami", own.trim()).await;
    assert_eq!(whoami["email"], "new@example.com");

    let url = ("LABEL_STUDIO_HOST", proxy.url.as_str());
    let login = ["--email", "new@example.com"];
    let settings = [&settings[..], &[url]].concat();
    let report = Doctor::of(Engine::SignedCookies, &database).run(&login, &settings);
    assert_eq!(report.failures(), [""; 0], "{report}");
    report.expect("public.login", "ok", "Label Studio knows new@example.com");
    report.expect("public.address", "ok", "");
}
