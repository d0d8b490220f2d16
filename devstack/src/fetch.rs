//! Getting the real parts: downloaded once into the cache, pinned, and safe to run again after an interruption.
//!
//! A fetched folder is complete when its marker file holds the very pins that it was fetched for; anything else is removed and
//! fetched anew. One lock file keeps two devstacks from fetching into one cache at a time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::process::Command;

use crate::progress::{Progress, Step, megabytes};

pub mod maven;
pub mod python;
pub mod system;

/// File whose content says what a fetched folder holds.
const MARKER: &str = ".complete";

/// How often the size of a growing download is looked at.
const SIZE_INTERVAL: Duration = Duration::from_millis(500);

/// A download that fails is tried this often: public mirrors refuse or stall now and then.
const ATTEMPTS: u32 = 3;

/// Output lines of a failed tool that are shown.
const OUTPUT_LINES: usize = 25;

/// Where the fetched parts are.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Folder with Kafka's jars.
    pub kafka: PathBuf,
    /// Folder with the registry's jars.
    pub registry: PathBuf,
    /// Virtual environment with LocalStack.
    pub localstack: PathBuf,
    /// Virtual environment with the outside clients and the input data.
    pub outside: PathBuf,
    /// Folder with flights.csv, weather.csv and planes.csv.
    pub data: PathBuf,
}

/// Fetches all that is not in the cache yet.
///
/// # Errors
/// A system package is missing and cannot be installed, or a download fails.
pub async fn all(cache: &Path, progress: &Progress) -> Result<Parts> {
    system::ensure(progress).await?;
    let _lock = lock(cache, progress)?;
    // Two lanes: Maven's local repository does not stand two writers, Python's environments are independent.
    let maven = async {
        let kafka = maven::kafka(cache, progress).await?;
        let registry = maven::registry(cache, progress).await?;
        Ok::<_, anyhow::Error>((kafka, registry))
    };
    let (java, localstack, outside) = tokio::try_join!(
        maven,
        python::localstack(cache, progress),
        python::outside(cache, progress)
    )?;
    let data = python::data(cache, &outside).await?;
    Ok(Parts {
        kafka: java.0,
        registry: java.1,
        localstack,
        outside,
        data,
    })
}

/// Fetches Kafka alone, for brokers beside a stack that runs already; the answer is the folder with its jars.
///
/// # Errors
/// A system package is missing and cannot be installed, or the download fails.
pub async fn kafka(cache: &Path, progress: &Progress) -> Result<PathBuf> {
    system::ensure(progress).await?;
    let _lock = lock(cache, progress)?;
    maven::kafka(cache, progress).await
}

/// Kafka Connect with what it can run.
#[derive(Debug, Clone)]
pub struct Worker {
    /// Folder with its jars.
    pub jars: PathBuf,
    /// Folders with its plugins.
    pub plugins: Vec<PathBuf>,
}

/// Fetches Kafka Connect with Debezium, which only a source of real changes needs; and with `mariadb` that database and its connector.
///
/// # Errors
/// A system package is missing and cannot be installed, or the download fails.
pub async fn connect(cache: &Path, mariadb: bool, progress: &Progress) -> Result<Worker> {
    system::ensure(progress).await?;
    if mariadb {
        system::ensure_mariadb(progress).await?;
    }
    let _lock = lock(cache, progress)?;
    let connect = maven::connect(cache, progress).await?;
    let mut plugins = vec![connect.join("plugins")];
    if mariadb {
        plugins.push(maven::debezium_mariadb(cache, progress).await?);
    }
    Ok(Worker {
        jars: connect.join("lib"),
        plugins,
    })
}

fn lock(cache: &Path, progress: &Progress) -> Result<File> {
    let path = cache.join(".lock");
    let file = File::create(&path).with_context(|| format!("cannot create `{}`", path.display()))?;
    if file.try_lock().is_err() {
        progress.note(format!(
            "waiting for another devstack that fetches into `{}`",
            cache.display()
        ));
        file.lock()
            .with_context(|| format!("cannot lock `{}`", path.display()))?;
    }
    Ok(file)
}

/// What is to lie in one folder of the cache.
struct Wanted<'a> {
    /// Name of the folder.
    folder: &'a str,
    /// What it is, for the user.
    title: String,
    /// The exact pins: another text means another content.
    pins: String,
    /// A folder that grows along with it (Maven's local repository).
    beside: Option<PathBuf>,
    /// Expected growth of both in bytes, as measured; only for showing how far it is.
    bytes: u64,
}

impl Wanted<'_> {
    /// The folder, filled by `fill` unless it is complete already.
    async fn get<F, Fut>(&self, cache: &Path, progress: &Progress, fill: F) -> Result<PathBuf>
    where
        F: Fn(PathBuf) -> Fut,
        Fut: Future<Output = Result<()>>,
    {
        let folder = cache.join(self.folder);
        let marker = folder.join(MARKER);
        if std::fs::read_to_string(&marker).is_ok_and(|found| found == self.pins) {
            return Ok(folder);
        }
        let step = progress.step(format!("fetching {}", self.title));
        let result = self.attempts(&folder, &step, fill).await;
        match result {
            Ok(()) => {
                std::fs::write(&marker, &self.pins).with_context(|| format!("cannot write `{}`", marker.display()))?;
                step.done(megabytes(size(&folder)));
                Ok(folder)
            }
            Err(error) => {
                step.failed("");
                Err(error.context(format!(
                    "cannot fetch {}\nhint: it can be run again, what is complete is kept",
                    self.title
                )))
            }
        }
    }

    async fn attempts<F, Fut>(&self, folder: &Path, step: &Step, fill: F) -> Result<()>
    where
        F: Fn(PathBuf) -> Fut,
        Fut: Future<Output = Result<()>>,
    {
        let mut last = anyhow!("never tried");
        for attempt in 1..=ATTEMPTS {
            if folder.exists() {
                std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove `{}`", folder.display()))?;
            }
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
            match self.watched(folder, step, fill(folder.to_owned())).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    step.say(format!("attempt {attempt} of {ATTEMPTS} failed"));
                    last = error;
                }
            }
        }
        Err(last)
    }

    async fn watched(&self, folder: &Path, step: &Step, work: impl Future<Output = Result<()>>) -> Result<()> {
        let mut work = std::pin::pin!(work);
        let before = self.beside.as_deref().map_or(0, size);
        loop {
            tokio::select! {
                result = &mut work => return result,
                () = tokio::time::sleep(SIZE_INTERVAL) => {
                    let (folder, beside) = (folder.to_owned(), self.beside.clone());
                    let both = move || size(&folder) + beside.as_deref().map_or(0, size).saturating_sub(before);
                    let bytes = tokio::task::spawn_blocking(both).await?;
                    step.at(bytes, self.bytes, format!("{} of about {}", megabytes(bytes), megabytes(self.bytes)));
                }
            }
        }
    }
}

/// Bytes in all files below `folder`; what vanishes while looking counts as nothing.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size(&entry.path()),
            Ok(meta) if meta.is_file() => meta.len(),
            _ => 0,
        })
        .sum()
}

/// Runs a tool to its end.
///
/// # Errors
/// It cannot be started or fails; the error shows the end of what it wrote.
pub(crate) async fn run(command: &mut Command) -> Result<Output> {
    let shown = format!("{:?}", command.as_std());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command
        .output()
        .await
        .with_context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let lines: Vec<&str> = text.lines().collect();
        let end = lines[lines.len().saturating_sub(OUTPUT_LINES)..].join("\n  | ");
        bail!("{shown} ended with `{}`:\n  | {end}", output.status);
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn fetches_once_repeats_after_an_interruption_and_when_the_pins_change() {
        let cache = tempfile::tempdir().unwrap();
        let count = AtomicU32::new(0);
        let fill = |folder: PathBuf| {
            count.fetch_add(1, Ordering::Relaxed);
            async move { Ok(std::fs::write(folder.join("part"), b"content")?) }
        };
        let wanted = |pins: &str| Wanted {
            folder: "thing",
            title: "a thing".into(),
            pins: pins.into(),
            beside: None,
            bytes: 7,
        };
        let progress = Progress::silent();
        // Left behind by an interrupted run: content without a marker.
        std::fs::create_dir(cache.path().join("thing")).unwrap();
        std::fs::write(cache.path().join("thing/rest"), b"half").unwrap();
        let folder = wanted("one").get(cache.path(), &progress, fill).await.unwrap();
        assert!(!folder.join("rest").exists());
        wanted("one").get(cache.path(), &progress, fill).await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 1);
        wanted("two").get(cache.path(), &progress, fill).await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_download_that_keeps_failing_is_reported_with_what_the_tool_said() {
        let cache = tempfile::tempdir().unwrap();
        let wanted = Wanted {
            folder: "thing",
            title: "a thing".into(),
            pins: "one".into(),
            beside: None,
            bytes: 7,
        };
        let fill = |_| async {
            run(Command::new("sh").args(["-c", "echo no such host >&2; exit 3"]))
                .await
                .map(drop)
        };
        let error = wanted.get(cache.path(), &Progress::silent(), fill).await.unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("a thing") && text.contains("no such host"), "{text}");
        assert!(!cache.path().join("thing").join(MARKER).exists());
    }
}
