//! A daemon under test or in the quickstart: started from its binary with a configuration and a log, ended gently or with kill -9.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::process::{Process, tail};

/// Folder with the programs of this build: `$SPOLT_BIN`, else the one this program itself lies in.
///
/// # Errors
/// The system does not say where this program lies.
pub fn binaries() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("SPOLT_BIN") {
        return Ok(PathBuf::from(folder));
    }
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let folder = own.parent().context("this program's file has no folder")?;
    // Test programs lie in `deps`, one below the programs.
    let folder = if folder.ends_with("deps") {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    };
    Ok(folder.to_owned())
}

/// The program `name` of this build.
///
/// # Errors
/// It has not been built.
pub fn binary(name: &str) -> Result<PathBuf> {
    let file = binaries()?.join(name);
    if !file.is_file() {
        bail!(
            "the program `{}` is not there\nhint: `cargo build --release --bins`, or run `./test`",
            file.display()
        );
    }
    Ok(file)
}

/// A running daemon. It is killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
}

impl Daemon {
    /// Starts `program run --config CONFIG`, with its output in `log` and `env` added to its environment. A pid file goes to `run`, if given.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(
        program: &Path,
        config: &Path,
        log: &Path,
        env: &[(String, String)],
        run: Option<&Path>,
    ) -> Result<Self> {
        let name = log
            .file_stem()
            .context("the log has no name")?
            .to_string_lossy()
            .into_owned();
        let mut command = Command::new(program);
        command.arg("run").arg("--config").arg(config).envs(env.iter().cloned());
        Ok(Self {
            process: Process::spawn(&name, command, log, run)?,
        })
    }

    /// Starts any command as a daemon.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(name: &str, command: Command, log: &Path) -> Result<Self> {
        Ok(Self {
            process: Process::spawn(name, command, log, None)?,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Its log file.
    #[must_use]
    pub fn log(&self) -> &Path {
        self.process.log()
    }

    /// The end of its log, for messages.
    #[must_use]
    pub fn log_tail(&self) -> String {
        tail(self.process.log())
    }

    /// How it ended, or `None` while it runs.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.process.ended()
    }

    /// Fails with the end of its log if it has ended.
    ///
    /// # Errors
    /// It has ended.
    pub fn must_run(&mut self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => {
                bail!(
                    "{} has ended with `{status}`; its log `{}` ends:\n{}",
                    self.process.name(),
                    self.log().display(),
                    self.log_tail()
                )
            }
        }
    }

    /// Kills it as a power cut would: no handler runs.
    ///
    /// # Errors
    /// It does not end.
    pub async fn kill_9(mut self) -> Result<()> {
        self.process.signal(Signal::KILL);
        self.process.wait(Duration::from_secs(10)).await.map(drop)
    }

    /// Stops it in its tracks (a virtual machine that pauses); [`Daemon::resume`] lets it go on.
    pub fn pause(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Undoes [`Daemon::pause`].
    pub fn resume(&self) {
        self.process.signal(Signal::CONT);
    }

    /// SIGTERM, and how it ended.
    ///
    /// # Errors
    /// It still runs at the deadline.
    pub async fn terminate(mut self, deadline: Duration) -> Result<ExitStatus> {
        self.process.signal(Signal::TERM);
        self.process.wait(deadline).await
    }

    /// Lets it run on when this value is dropped; it should have a pid file then.
    pub fn detach(mut self) {
        self.process.detach();
    }
}
