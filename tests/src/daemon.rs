//! The daemons as processes: the release binaries that users run.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

/// The binary of this name: beside this program, or in `$SPOLT_BIN`.
pub(crate) fn binary(name: &str) -> PathBuf {
    devstack::daemon::binary(name).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Runs a command of a daemon to its end: whether it succeeded, and what it printed.
///
/// # Panics
/// When it cannot be started.
#[must_use]
pub fn command(name: &str, config: &Path, arguments: &[&str]) -> (bool, String) {
    command_with(name, config, arguments, std::iter::empty())
}

/// The same with these variables in its environment.
///
/// # Panics
/// When it cannot be started.
#[must_use]
pub fn command_with<'a>(
    name: &str,
    config: &Path,
    arguments: &[&str],
    env: impl Iterator<Item = (&'a str, &'a str)>,
) -> (bool, String) {
    let output = Command::new(binary(name))
        .args(arguments)
        .arg("--config")
        .arg(config)
        .envs(env)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("start `{name}`: {error}"));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

impl Daemon {
    /// Starts `name run --config config`, its log beside the configuration.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(name: &str, config: &Path) -> Daemon {
        Daemon::start_with(name, &["run"], config, &[])
    }

    /// The same for any of its commands, with further variables in its environment.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start_with(name: &str, arguments: &[&str], config: &Path, env: &[(String, String)]) -> Daemon {
        static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let log = config.with_extension(format!("{name}.{number}.log"));
        let file = File::create(&log).expect("the log can be created");
        let child = Command::new(binary(name))
            .args(arguments)
            .arg("--config")
            .arg(config)
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a file handle can be cloned"))
            .stderr(file)
            // In the group of a shell that ends meanwhile, a stopped daemon would be continued by the kernel.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("start `{name}`: {error}"));
        Daemon { child, log }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and the wait for the end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait(Duration::from_secs(45))
    }

    /// Sends a signal, such as STOP or CONT.
    ///
    /// # Panics
    /// When `kill` cannot be run.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &pid])
            .status()
            .expect("kill can be run");
        assert!(sent.success(), "could not send {signal} to {pid}");
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it takes longer than `limit`, with the end of the log.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(
                since.elapsed() < limit,
                "still running after {limit:?}:\n{}",
                self.log_tail()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// When the child cannot be asked.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines of the log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- end of {}\n{}", self.log.display(), self.log_tail());
        }
        self.kill();
    }
}
