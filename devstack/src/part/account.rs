//! Who runs a database and where its data lies: databases refuse to run as root, so root hands them to another user.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::home::Home;

/// A user that is not root.
#[derive(Debug, Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

/// The folder of a database, and the user whom it belongs to.
#[derive(Debug)]
pub(super) struct Place {
    account: Option<Account>,
    folder: PathBuf,
}

impl Place {
    /// Makes the folder for data and socket of the database `name`: in the home, unless its user may not pass the folders above it (a clone
    /// in root's own home): then in /var/tmp, and [`Place::clean`] removes it. Where we are root, the first of `users` that exists has it.
    ///
    /// # Errors
    /// There is no such user, or the folder cannot be made.
    pub(super) fn make(home: &Home, name: &str, users: &[&str]) -> Result<Self> {
        let root = rustix::process::geteuid().is_root();
        let account = if root { Some(unprivileged(users)?) } else { None };
        let folder = match account {
            Some(account) if !may_pass(&home.data(), account) => outside(home, name),
            _ => home.data().join(name),
        };
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
        if let Some(account) = account {
            std::os::unix::fs::chown(&folder, Some(account.uid), Some(account.gid))
                .with_context(|| format!("cannot hand `{}` to the user of `{name}`", folder.display()))?;
        }
        Ok(Self { account, folder })
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A program run by the user, in the folder.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).env("LC_ALL", "C");
        if let Some(account) = self.account {
            // Setting the uid as root also drops the supplementary groups (std::os::unix::process::CommandExt).
            command.gid(account.gid).uid(account.uid);
        }
        command
    }

    /// Removes what lies outside of the home, if anything.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(super) fn clean(home: &Home, name: &str) -> Result<()> {
        let outside = outside(home, name);
        if outside.exists() {
            std::fs::remove_dir_all(&outside).with_context(|| format!("cannot remove `{}`", outside.display()))?;
        }
        Ok(())
    }
}

fn outside(home: &Home, name: &str) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    home.root().hash(&mut hasher);
    PathBuf::from(format!("/var/tmp/spolt-{name}-{:016x}", hasher.finish()))
}

fn may_pass(folder: &Path, account: Account) -> bool {
    folder.ancestors().all(|folder| {
        std::fs::metadata(folder).is_ok_and(|meta| {
            let shift = match () {
                () if meta.uid() == account.uid => 6,
                () if meta.gid() == account.gid => 3,
                () => 0,
            };
            (meta.mode() >> shift) & 1 == 1
        })
    })
}

fn unprivileged(wanted: &[&str]) -> Result<Account> {
    let users = std::fs::read_to_string("/etc/passwd").context("cannot read `/etc/passwd`")?;
    for wanted in wanted {
        let found = users
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields[0] == *wanted);
        if let Some([_, _, uid, gid, ..]) = found.as_deref() {
            return Ok(Account {
                uid: uid.parse()?,
                gid: gid.parse()?,
            });
        }
    }
    bail!(
        "databases refuse to run as root and there is no user `{}`\nhint: run as an ordinary user",
        wanted.join("` or `")
    )
}
