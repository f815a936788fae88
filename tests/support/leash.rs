//! Child processes on a leash: none of them outlives the tests, even if the tests are killed.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, OnceLock};

use super::wait_until;

/// Runs the command. Writes its process ID to standard output, and its exit status when it ends. Waits
/// until its own standard input closes. That is a pipe held by the tests, so the kernel closes it when
/// they end. Then it signals the command, waits a while, removes the directory in `$REMOVE`, and kills
/// the rest of the process group.
const SCRIPT: &str = r#"
exec 3<&0
"$@" </dev/null >&2 3<&- &
child=$!
echo "$child"
trap '' INT TERM
(
    cat <&3 >/dev/null
    kill -s "$SIGNAL" "$child" 2>/dev/null
    for _ in $(seq 100); do kill -0 "$child" 2>/dev/null || break; sleep 0.1; done
    [ -z "$REMOVE" ] || rm -rf -- "$REMOVE"
    kill -KILL -- -$$
) &
wait "$child"
echo $?
wait
"#;

/// A running child. Dropping it ends the child.
pub struct Leash {
    holder: Child,
    rope: Option<ChildStdin>,
    pid: u32,
    /// The exit status, once the child has ended by itself.
    status: Arc<OnceLock<u32>>,
}

impl Leash {
    /// Starts `command`, which is ended with `signal` and writes to `log`.
    pub fn start(command: &Command, signal: &str, log: &Path, remove: Option<&Path>) -> Self {
        let output = std::fs::File::options().create(true).append(true).open(log);
        let output = output.unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        Self::start_into(command, signal, output.into(), remove)
    }

    /// The same with another place for the output than a file.
    pub fn start_into(
        command: &Command,
        signal: &str,
        output: Stdio,
        remove: Option<&Path>,
    ) -> Self {
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
            .stdout(Stdio::piped())
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
        let told = BufReader::new(holder.stdout.take().expect("piped")).lines();
        let mut numbers = told.map_while(|line| line.ok()?.parse::<u32>().ok());
        let pid = numbers.next().expect("the child's process ID");
        let status = Arc::new(OnceLock::new());
        let ended = status.clone();
        std::thread::spawn(move || numbers.next().map(|code| ended.set(code)));
        Self {
            holder,
            rope,
            pid,
            status,
        }
    }

    /// The exit status of the child if it has ended by itself; 128 and the signal if one killed it.
    pub fn status(&self) -> Option<u32> {
        self.status.get().copied()
    }

    /// Sends a signal that ends the child, and waits for its exit status.
    pub fn end(&self, signal: &str) -> u32 {
        self.signal(signal);
        wait_until(
            || self.status().is_some(),
            || format!("it goes on after {signal}"),
        );
        self.status().expect("it has ended")
    }

    /// The process ID of the child itself.
    pub const fn pid(&self) -> u32 {
        self.pid
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
