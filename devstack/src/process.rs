//! Child processes: each in its own process group, with a log file and a pid file, stopped for certain.
//!
//! A devstack that is killed cannot stop its children, so every child leaves a pid file. The next start, and `devstack down`, stop what
//! such files name, after checking that the process is still the one that was started (same command line, same start time).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use crate::wait::INTERVAL;

/// A part that does not end this long after SIGTERM gets SIGKILL. Kafka, the slowest, takes about two seconds.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Log lines shown when a part does not come up.
const TAIL_LINES: usize = 20;

/// At most this much of a log's end is read for its tail.
const TAIL_BYTES: u64 = 64 * 1024;

/// What a pid file says.
#[derive(Debug, Serialize, Deserialize)]
struct PidFile {
    pid: i32,
    started: u64,
    command: String,
}

/// A process started by us.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    pid_file: Option<PathBuf>,
    keep: bool,
}

impl Process {
    /// Starts `command` as `name`, with its output appended to `log` and, if given, a pid file in `run`.
    ///
    /// # Errors
    /// The log cannot be opened or the program cannot be started.
    pub fn spawn(name: &str, mut command: Command, log: &Path, run: Option<&Path>) -> Result<Self> {
        use std::os::unix::process::CommandExt;
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot open the log `{}`", log.display()))?;
        let program = command.get_program().to_string_lossy().into_owned();
        // From here rather than from /proc, which shows nothing yet in the first moments of a program.
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start `{program}` for {name}"))?;
        let mut process = Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            pid_file: None,
            keep: false,
        };
        if let Some(run) = run {
            process.pid_file = Some(process.write_pid_file(run, line)?);
        }
        Ok(process)
    }

    fn write_pid_file(&self, run: &Path, command: String) -> Result<PathBuf> {
        let path = run.join(format!("{}.pid", self.name));
        let pid = self.pid();
        // The child is ours and not yet reaped, so its entry in /proc exists even if it has already ended.
        let started = start_time(pid).unwrap_or(0);
        let text = serde_json::to_string(&PidFile { pid, started, command })?;
        std::fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(path)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("invariant: Linux keeps process ids below 2^22")
    }

    /// Its log file.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it ended, or `None` while it runs.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("cannot ask whether {} still runs", self.name))
    }

    /// Sends `signal` to it and all it has started. A process that is gone already is no error.
    pub fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// It still runs at the deadline.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if began.elapsed() > deadline {
                bail!(
                    "{} still runs `{}` s later; its log ends:\n{}",
                    self.name,
                    deadline.as_secs(),
                    tail(&self.log)
                );
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Lets the process live on when this value is dropped; its pid file stays for `devstack down`.
    pub fn detach(&mut self) {
        self.keep = true;
    }

    /// SIGTERM, and SIGKILL if that is not enough; then the pid file goes.
    pub fn stop(&mut self) {
        if !self.keep && !matches!(self.ended(), Ok(Some(_))) {
            self.signal(Signal::TERM);
            let began = Instant::now();
            while matches!(self.ended(), Ok(None)) {
                if began.elapsed() > STOP_GRACE {
                    self.signal(Signal::KILL);
                    let _ = self.child.wait();
                }
                std::thread::sleep(INTERVAL);
            }
        }
        if !self.keep
            && let Some(file) = self.pid_file.take()
        {
            let _ = std::fs::remove_file(file);
        }
    }

    /// What to say when it has not come up: why, and how its log ends.
    #[must_use]
    pub fn did_not_start(&mut self, why: &anyhow::Error) -> anyhow::Error {
        let ended = match self.ended() {
            Ok(Some(status)) => format!(" and ended with `{status}`"),
            _ => String::new(),
        };
        anyhow!(
            "{} did not come up{ended}: {why:#}\nthe last lines of `{}`:\n{}\nhint: read that log; `devstack down` clears what is left",
            self.name,
            self.log.display(),
            tail(&self.log)
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Stops all processes at once rather than one after another, so that the slowest decides how long it takes.
pub fn stop_all(processes: &mut [Process]) {
    for process in processes.iter().filter(|process| !process.keep) {
        process.signal(Signal::TERM);
    }
    for process in processes {
        process.stop();
    }
}

/// A process that a pid file names and that still runs.
#[derive(Debug)]
pub struct Left {
    /// Name of the part.
    pub name: String,
    /// Its process id.
    pub pid: i32,
}

/// The processes that the pid files in `run` name and that still are what was started. Files of dead ones are removed.
///
/// # Errors
/// The folder cannot be read.
pub fn left_running(run: &Path) -> Result<Vec<Left>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(run).with_context(|| format!("cannot read the folder `{}`", run.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "pid") {
            continue;
        }
        let name = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        let file: Option<PidFile> = std::fs::read_to_string(&path)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok());
        match file {
            Some(file) if is_same(&file) => found.push(Left { name, pid: file.pid }),
            _ => {
                let _ = std::fs::remove_file(&path);
            }
        }
    }
    Ok(found)
}

/// Stops what [`left_running`] found: SIGTERM to all, SIGKILL to those that stay.
///
/// # Errors
/// The folder cannot be read.
pub fn stop_left(run: &Path) -> Result<Vec<Left>> {
    let stopped = left_running(run)?;
    for left in &stopped {
        send(left.pid, Signal::TERM);
    }
    let began = Instant::now();
    while !left_running(run)?.is_empty() {
        if began.elapsed() > STOP_GRACE {
            for left in left_running(run)? {
                send(left.pid, Signal::KILL);
            }
        }
        std::thread::sleep(INTERVAL);
    }
    Ok(stopped)
}

fn is_same(file: &PidFile) -> bool {
    start_time(file.pid) == Some(file.started)
        && !is_zombie(file.pid)
        // Empty until the new program is in place, a moment after the start; pid and start time tell enough then.
        && command_line(file.pid).is_some_and(|line| line.is_empty() || line == file.command)
}

fn send(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // ESRCH: it has ended meanwhile, which is what was wanted.
        let _ = kill_process_group(pid, signal);
    }
}

fn command_line(pid: i32) -> Option<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned())
}

/// Clock ticks after boot at which the process started: field 22 of /proc/PID/stat, proc(5).
fn start_time(pid: i32) -> Option<u64> {
    stat_field(pid, 22)?.parse().ok()
}

fn is_zombie(pid: i32) -> bool {
    stat_field(pid, 3).is_some_and(|state| state == "Z")
}

fn stat_field(pid: i32, number: usize) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses and may hold anything, so count from the last closing one.
    let rest = &stat[stat.rfind(')')? + 2..];
    rest.split_whitespace().nth(number - 3).map(str::to_owned)
}

/// The last lines of a log.
#[must_use]
pub fn tail(log: &Path) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_else(|error| format!("(cannot read it: {error})"));
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..]
        .iter()
        .map(|line| format!("  | {line}\n"))
        .collect()
}

/// `count` TCP ports of 127.0.0.1 that are free now, below the range from which the system takes outgoing ones.
///
/// # Errors
/// No free ports are found.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    use rand::Rng;
    const LOWEST: u16 = 15_000;
    const HIGHEST: u16 = 32_000;
    const TRIES: usize = 1_000;
    let mut rng = rand::rng();
    let mut held = Vec::new();
    for _ in 0..TRIES {
        if held.len() == count {
            break;
        }
        if let Ok(listener) = std::net::TcpListener::bind(("127.0.0.1", rng.random_range(LOWEST..HIGHEST))) {
            held.push(listener);
        }
    }
    if held.len() < count {
        bail!(
            "found only `{}` of `{count}` free ports between `{LOWEST}` and `{HIGHEST}`",
            held.len()
        );
    }
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(folder: &Path) -> Process {
        let mut command = Command::new("sleep");
        command.arg("600");
        Process::spawn("sleeper", command, &folder.join("sleeper.log"), Some(folder)).unwrap()
    }

    fn folder() -> PathBuf {
        let path = std::env::temp_dir().join(format!(
            "spolt-process-{}-{:x}",
            std::process::id(),
            rand::random::<u64>()
        ));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_child_ends_with_its_owner_and_takes_its_pid_file_along() {
        let folder = folder();
        let process = sleeper(&folder);
        let pid = process.pid();
        assert_eq!(left_running(&folder).unwrap().len(), 1);
        drop(process);
        assert_eq!(command_line(pid), None);
        assert!(left_running(&folder).unwrap().is_empty());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_a_pid_file_names_is_stopped_but_not_another_process_of_that_number() {
        let folder = folder();
        let mut process = sleeper(&folder);
        process.detach();
        let foreign = PidFile {
            pid: i32::try_from(std::process::id()).unwrap(),
            started: 1,
            command: "sleep 600".into(),
        };
        std::fs::write(folder.join("foreign.pid"), serde_json::to_string(&foreign).unwrap()).unwrap();
        // Reaps the child as init would, so that it does not stay a zombie of this test.
        let waiter = std::thread::spawn(move || process.child.wait());
        let stopped = stop_left(&folder).unwrap();
        assert_eq!(
            stopped.iter().map(|left| left.name.as_str()).collect::<Vec<_>>(),
            ["sleeper"]
        );
        waiter.join().unwrap().unwrap();
        assert!(!folder.join("foreign.pid").exists());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn ports_are_distinct() {
        let mut ports = free_ports(12).unwrap();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 12);
    }
}
