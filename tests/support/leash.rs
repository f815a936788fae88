//! Child processes on a leash: none of them outlives the tests, even if the tests are killed.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Runs the command and waits until its own standard input closes. That is a pipe held by the
/// tests, so the kernel closes it when they end. Then it signals the command, waits a while, kills
/// the rest of the process group, and removes the directory in `$REMOVE`.
const SCRIPT: &str = r#"
"$@" </dev/null &
child=$!
trap '' INT TERM
cat >/dev/null
kill -s "$SIGNAL" "$child" 2>/dev/null
for _ in $(seq 100); do kill -0 "$child" 2>/dev/null || break; sleep 0.1; done
[ -z "$REMOVE" ] || rm -rf -- "$REMOVE"
kill -KILL -- -$$
"#;

/// A running child. Dropping it ends the child.
pub struct Leash {
    holder: Child,
    rope: Option<ChildStdin>,
}

impl Leash {
    /// Starts `command`, which is ended with `signal` and writes to `log`.
    pub fn start(command: &Command, signal: &str, log: &Path, remove: Option<&Path>) -> Self {
        let output = std::fs::File::options().create(true).append(true).open(log);
        let output = output.unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let mut holder = Command::new("bash");
        holder
            .args(["-c", SCRIPT, "leash"])
            .arg(command.get_program())
            .args(command.get_args())
            .env("SIGNAL", signal)
            .env(
                "REMOVE",
                remove.map_or_else(Default::default, Path::as_os_str),
            )
            .stdin(Stdio::piped())
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output)
            .process_group(0);
        if let Some(directory) = command.get_current_dir() {
            holder.current_dir(directory);
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => holder.env(name, value),
                None => holder.env_remove(name),
            };
        }
        let mut holder = holder.spawn().expect("bash can be started");
        let rope = holder.stdin.take();
        Self { holder, rope }
    }

    /// The process ID of the child itself, which [`SCRIPT`] starts first. Ask before it can have
    /// ended.
    pub fn pid(&self) -> u32 {
        let holder = self.holder.id();
        let children = format!("/proc/{holder}/task/{holder}/children");
        loop {
            let listed = std::fs::read_to_string(&children).expect("the holder runs");
            if let Some(first) = listed.split_whitespace().next() {
                return first.parse().expect("a process ID");
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Sends a signal to the child.
    pub fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {pid}");
    }

    /// Ends the child and waits until it is gone.
    pub fn stop(&mut self) {
        drop(self.rope.take());
        let _ = self.holder.wait();
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.stop();
    }
}
