//! Names that only the gates know: their `/etc/hosts` and `/etc/resolv.conf` are files of this run,
//! mounted over the machine's in a mount namespace of their own. Needs root.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A name server that nobody else uses.
const NAME_SERVER: &str = "127.0.0.77";

pub struct Names {
    hosts: PathBuf,
    resolver: PathBuf,
    known: String,
}

impl Names {
    /// `None` where this machine does not let the run mount anything.
    pub fn new(home: &Path, names: &[&str]) -> Option<Self> {
        let known = format!("127.0.0.1 localhost {}\n", names.join(" "));
        let names = Self {
            hosts: home.join("hosts"),
            resolver: home.join("resolv.conf"),
            known,
        };
        names.know();
        std::fs::write(&names.resolver, format!("nameserver {NAME_SERVER}\n")).expect("written");
        let before = names.before();
        let (program, arguments) = before.split_first().expect("words");
        let tried = Command::new(program).args(arguments).arg("true").output();
        tried
            .is_ok_and(|output| output.status.success())
            .then_some(names)
    }

    /// What to start a program with, so that it knows these names.
    pub fn before(&self) -> Vec<String> {
        let script = format!(
            "mount --bind '{}' /etc/hosts && mount --bind '{}' /etc/resolv.conf && exec \"$@\"",
            self.hosts.display(),
            self.resolver.display()
        );
        let words = ["unshare", "--mount", "sh", "-c", &script, "sh"];
        words.map(str::to_owned).to_vec()
    }

    pub fn know(&self) {
        std::fs::write(&self.hosts, &self.known).expect("written");
    }

    /// Forgets every name. With the socket that is returned, the name server says nothing at all;
    /// without it, the machine refuses its packets at once.
    pub fn forget(&self) -> Option<std::net::UdpSocket> {
        std::fs::write(&self.hosts, "").expect("written");
        std::net::UdpSocket::bind((NAME_SERVER, 53)).ok()
    }
}
