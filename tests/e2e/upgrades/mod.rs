//! Upgrades while people work: two versions of the gate side by side, and Label Studio 1.18 that
//! becomes 1.23.
//!
//! `tests/upgrades/run` runs it; it needs an earlier gate and an earlier Label Studio.

mod book;
mod visitors;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use book::{Book, Person};
use visitors::{Site, visit};

use crate::label_studio::{LabelStudio, migrate, venv};
use crate::nginx::{Nginx, binaries};
use crate::programs::installed;
use crate::stack::{Engine, GateProcess};
use crate::support::cluster::CLUSTER;
use crate::support::free_port;
use crate::support::token::SHARED_SECRET;

const SEED: &str = concat!(
    include_str!("../../../deploy/demo/seed.py"),
    include_str!("seed.py")
);

/// Accounts are created too: their table changes with Label Studio.
const SETTINGS: [(&str, &str); 2] = [
    ("JWT_SSO_SECRET", SHARED_SECRET),
    ("JWT_SSO_AUTO_CREATE_USERS", "true"),
];

/// A site that is upgraded piece by piece.
struct House {
    engine: Engine,
    database: String,
    gates: Vec<GateProcess>,
    ports: [u16; 2],
    label_studio: Option<LabelStudio>,
    label_studio_port: u16,
    proxy: Nginx,
}

impl House {
    fn build(
        engine: Engine,
        database: &str,
        gate: &Path,
        label_studio: &Path,
        nginx: &Path,
    ) -> Self {
        let (ports, port) = ([free_port(), free_port()], free_port());
        Self {
            engine,
            database: database.to_owned(),
            gates: ports.map(|port| start(gate, port, engine, database)).into(),
            ports,
            label_studio: Some(serve(port, label_studio, database, engine)),
            label_studio_port: port,
            proxy: Nginx::start(nginx, &ports, port),
        }
    }

    /// Replaces one of the two gates, as a rolling upgrade does.
    fn replace_gate(&mut self, index: usize, binary: &Path) {
        let port = self.ports[index];
        let old = self.gates.remove(index);
        drop(old);
        let new = start(binary, port, self.engine, &self.database);
        self.gates.insert(index, new);
    }

    fn replace_label_studio(&mut self, version: &Path) {
        drop(self.label_studio.take());
        let port = self.label_studio_port;
        self.label_studio = Some(serve(port, version, &self.database, self.engine));
    }

    fn site(&self, people: &[Person], token: &str) -> Site {
        Site {
            engine: self.engine,
            url: self.proxy.url.clone(),
            label_studio: format!("http://127.0.0.1:{}", self.label_studio_port),
            people: people.to_vec(),
            token: token.to_owned(),
        }
    }
}

fn start(binary: &Path, port: u16, engine: Engine, database: &str) -> GateProcess {
    GateProcess::start_version(binary, port, engine, database, &SETTINGS)
}

fn serve(port: u16, venv: &Path, database: &str, engine: Engine) -> LabelStudio {
    LabelStudio::on(port, venv, database, engine == Engine::Database)
}

/// What the seed printed: the administrator's token, and the people.
fn people(seeded: &str) -> (String, Vec<Person>) {
    let token = seeded
        .lines()
        .find_map(|line| line.strip_prefix("GATE_DEMO_ADMIN_TOKEN="))
        .unwrap()
        .trim_matches('\'');
    let people = seeded
        .lines()
        .filter_map(|line| line.strip_prefix("PERSON ")?.split_once(' '))
        .map(|(id, email)| Person {
            id: id.parse().unwrap(),
            email: email.to_owned(),
        });
    (token.to_owned(), people.collect())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/upgrades/run runs it"]
async fn nothing_is_wrong_or_lost_while_the_gate_and_label_studio_are_upgraded() {
    let earlier_gate = PathBuf::from(std::env::var_os("GATE_TEST_EARLIER_BINARY").unwrap());
    let gate = PathBuf::from(env!("CARGO_BIN_EXE_label-studio-gate"));
    let earlier_studio = installed("GATE_TEST_EARLIER_LABEL_STUDIO_VENV", "label-studio-1.18.0");
    let database = CLUSTER.fresh_name();
    CLUSTER.psql("postgres", &["-c", &format!("CREATE DATABASE {database}")]);
    let (token, people) = people(&migrate(&earlier_studio, &database, &["-c", SEED]));
    assert_eq!(people.len(), 12);
    CLUSTER.grant(&database);

    let nginx = &binaries()[0];
    let mut houses = [Engine::SignedCookies, Engine::Database]
        .map(|engine| House::build(engine, &database, &earlier_gate, &earlier_studio, nginx));
    let book = Arc::new(Book::new("Label Studio 1.18, the earlier gate twice"));
    let sites: Vec<Arc<Site>> = houses
        .iter()
        .map(|house| Arc::new(house.site(&people, &token)))
        .collect();
    let visitors: Vec<_> = sites
        .iter()
        .map(|site| tokio::spawn(visit(site.clone(), book.clone())))
        .collect();
    let a_while = || tokio::time::sleep(Duration::from_secs(6));
    a_while().await;

    // The gate, back, and forth again.
    for (gate_of, index, phase) in [
        (&gate, 0, "the gate in two versions"),
        (&gate, 1, "the new gate twice"),
        (&earlier_gate, 0, "taken back: two versions again"),
        (&gate, 0, "the new gate twice, again"),
    ] {
        book.enter(phase);
        for house in &mut houses {
            tokio::task::block_in_place(|| house.replace_gate(index, gate_of));
        }
        a_while().await;
    }
    book.judge(&sites).await;

    // Label Studio: its new version migrates the database while the old one runs, and replaces it.
    book.enter("Label Studio's migrations run");
    book.studio_may_fail(true);
    tokio::task::block_in_place(|| migrate(&venv(), &database, &["-c", ""]));
    a_while().await;
    book.enter("role.sql has run again");
    tokio::task::block_in_place(|| CLUSTER.grant(&database));
    a_while().await;
    book.enter("Label Studio restarts as 1.23");
    for house in &mut houses {
        tokio::task::block_in_place(|| house.replace_label_studio(&venv()));
    }
    book.enter("Label Studio 1.23");
    book.studio_may_fail(false);
    a_while().await;
    book.close();
    for visitor in visitors {
        visitor.await.unwrap();
    }
    book.judge(&sites).await;
    book.report();
}
