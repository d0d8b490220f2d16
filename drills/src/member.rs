//! A daemon of a drill: its own configuration, its own way to the parts, its own failpoints.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use spolt_tests::daemon::Daemon;
use spolt_tests::rig::{Rig, Via};

use crate::drill::Context;
use crate::net::Net;
use crate::stage::APPEND;

/// How long a point may take to be reached, the start of the daemon included.
pub const REACH: Duration = Duration::from_secs(60);

/// How long the end may take after SIGTERM: what is under way is finished first.
const END: Duration = Duration::from_secs(45);

/// How often files and processes are looked at.
const LOOK: Duration = Duration::from_millis(25);

/// Which daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// s3-spolt.
    Writer,
    /// redshift-spolt.
    Loader,
    /// `s3-spolt gc --apply`, which ends when it is done.
    Collector,
    /// `s3-spolt gap --apply` for [`LOST`], which ends when it is done.
    Operator,
}

/// The partition of the append table of which an operator gives up a range.
pub const LOST: i32 = 0;

impl Role {
    /// Its program, built with failpoints.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Role::Writer | Role::Collector | Role::Operator => "s3-spolt-drills",
            Role::Loader => "redshift-spolt-drills",
        }
    }

    /// Its name without the ending.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Writer => "s3-spolt",
            Role::Loader => "redshift-spolt",
            Role::Collector => "s3-spolt gc",
            Role::Operator => "s3-spolt gap",
        }
    }

    /// Whether it is a command, which comes to an end, and no daemon.
    #[must_use]
    pub fn is_command(self) -> bool {
        matches!(self, Role::Collector | Role::Operator)
    }

    fn arguments(self, rig: &Rig) -> Vec<String> {
        let (topic, partition) = (rig.topic(APPEND), LOST.to_string());
        let words = match self {
            Role::Writer | Role::Loader => vec!["run"],
            Role::Collector => vec!["gc", "--apply"],
            Role::Operator => vec!["gap", &topic, "--partition", &partition, "--apply"],
        };
        words.into_iter().map(str::to_owned).collect()
    }
}

/// A running daemon; killed when dropped.
pub struct Member {
    daemon: Daemon,
    points: PathBuf,
    role: Role,
    /// Its way to the parts, which must last as long as the daemon.
    _net: Option<Arc<Net>>,
}

/// How a member is started.
#[derive(Default)]
pub struct Start<'a> {
    /// What happens where, as `SPOLT_FAILPOINTS` has it; nothing if empty.
    pub failpoints: &'a str,
    /// Its way to the parts, if not the straight one.
    pub net: Option<&'a Arc<Net>>,
}

impl Member {
    /// Starts a daemon of the rig under a name of its own.
    #[must_use]
    pub fn start(context: &Context, rig: &Rig, role: Role, name: &str, start: Start<'_>) -> Member {
        let points = context.folder().join(format!("{name}.points"));
        std::fs::create_dir_all(&points).expect("a folder can be made");
        let straight = Via {
            kafka: rig.parts.kafka.clone(),
            s3: rig.parts.s3.clone(),
            redshift: rig.parts.redshift.clone(),
        };
        let via = start.net.map_or(&straight, |net| net.via());
        let config = rig.config_via(&format!("{name}.toml"), "main", via);
        let mut env: Vec<(String, String)> = rig.parts.aws.clone().into_iter().collect();
        env.push(("SPOLT_FAILPOINTS".into(), start.failpoints.to_owned()));
        env.push(("SPOLT_FAILPOINTS_DIR".into(), points.display().to_string()));
        env.extend(rig.env.iter().cloned());
        env.push(("SPOLT_MUTANTS".into(), context.mutant().unwrap_or_default().to_owned()));
        let arguments = role.arguments(rig);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Member {
            daemon: Daemon::start_with(role.program(), &arguments, &config, &env),
            points,
            role,
            _net: start.net.cloned(),
        }
    }

    /// Waits until a failpoint has struck. False when it has not in [`REACH`], or the daemon ended before.
    pub async fn reaches(&mut self, point: &str) -> bool {
        let (since, file) = (Instant::now(), self.points.join(format!("{point}.hit")));
        while !file.exists() {
            if since.elapsed() > REACH || !self.daemon.is_running() {
                return file.exists();
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }

    /// Lets a held failpoint go on.
    pub fn release(&self, point: &str) {
        std::fs::write(self.points.join(format!("{point}.go")), "").expect("a file can be written");
    }

    /// Waits until the daemon has ended by itself. False when it still runs after `limit`.
    pub async fn ends(&mut self, limit: Duration) -> bool {
        let since = Instant::now();
        while self.daemon.is_running() {
            if since.elapsed() > limit {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }

    /// SIGSTOP: heartbeats stop with everything else.
    pub fn stop(&self) {
        self.daemon.signal("STOP");
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        self.daemon.signal("CONT");
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn terminate(&mut self) -> Result<()> {
        self.daemon.signal("TERM");
        ensure!(self.ends(END).await, "{} does not end after SIGTERM", self.role.name());
        Ok(())
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Which daemon it is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.daemon.is_running()
    }

    /// Whether the group has given it something to do; of a command, whether it has done it.
    #[must_use]
    pub fn was_given_work(&self) -> bool {
        self.log().contains(match self.role {
            Role::Writer => "partitions assigned",
            Role::Loader => "table begins",
            Role::Collector => "were deleted",
            Role::Operator => "gap holds",
        })
    }

    /// Whether it is where it should be at the end of a drill: a daemon runs, a command is done.
    pub fn is_well(&mut self) -> bool {
        match self.role {
            Role::Writer | Role::Loader => self.is_running(),
            Role::Collector | Role::Operator => self.was_given_work(),
        }
    }

    /// Everything logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }
}
