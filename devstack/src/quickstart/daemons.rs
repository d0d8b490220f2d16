//! The two daemons of a quickstart: started with one configuration, followed as far as they come, stopped.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::config::Settings;
use super::follow::{Ends, Follower};
use crate::addresses::Addresses;
use crate::daemon::{Daemon, binary};
use crate::home::Home;
use crate::progress::{Progress, thousands};
use crate::stack::Stack;

/// What is claimed and loaded must move within this time; a load of a million rows takes some ten seconds on two busy cores.
const STALL: Duration = Duration::from_secs(120);

/// From SIGTERM to the end of a daemon; their own deadlines are 20 and 30 s.
const TERMINATE: Duration = Duration::from_secs(45);

/// How often what the daemons have done is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Both daemons of this build.
#[derive(Debug)]
pub struct Programs {
    s3: PathBuf,
    redshift: PathBuf,
}

impl Programs {
    /// Finds them.
    ///
    /// # Errors
    /// One has not been built.
    pub fn find() -> Result<Self> {
        Ok(Self {
            s3: binary("s3-spolt")?,
            redshift: binary("redshift-spolt")?,
        })
    }
}

/// When everything was claimed, and when everything was loaded, since the start of the daemon that does it.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    /// By s3-spolt.
    pub claimed: Duration,
    /// By redshift-spolt.
    pub loaded: Duration,
}

/// The two daemons.
pub struct Daemons {
    s3: Daemon,
    redshift: Daemon,
    /// When each was started.
    began: (Instant, Instant),
}

impl Daemons {
    /// Starts them, s3-spolt first.
    ///
    /// # Errors
    /// The configuration cannot be written, or a daemon ends at once.
    pub async fn start(
        home: &Home,
        stack: &Stack,
        settings: &Settings,
        programs: &Programs,
        follower: &mut Follower,
    ) -> Result<Daemons> {
        let file = home.run().join("spolt.toml");
        std::fs::write(&file, settings.toml()?).with_context(|| format!("cannot write `{}`", file.display()))?;
        let aws = stack.addresses().aws.clone();
        let env = Addresses {
            aws,
            ..Addresses::default()
        }
        .variables();
        let one = |program: &Path, name: &str| {
            let daemon = Daemon::start(program, &file, &home.log(name), &env, Some(&home.run()))?;
            Ok::<_, anyhow::Error>((daemon, Instant::now()))
        };
        let mut s3 = one(&programs.s3, "s3-spolt")?;
        // The order does not matter, but a loader that finds no signals yet looks again only after a while.
        let began = Instant::now();
        while !follower.signals_exist().await? {
            s3.0.must_run()?;
            if began.elapsed() > STALL {
                bail!(
                    "s3-spolt has made no signal topics; its log `{}` ends:\n{}",
                    s3.0.log().display(),
                    s3.0.log_tail()
                );
            }
            tokio::time::sleep(LOOK).await;
        }
        let redshift = one(&programs.redshift, "redshift-spolt")?;
        Ok(Daemons {
            s3: s3.0,
            redshift: redshift.0,
            began: (s3.1, redshift.1),
        })
    }

    fn must_run(&mut self) -> Result<()> {
        self.s3.must_run()?;
        self.redshift.must_run()
    }

    /// Waits until the loader's progress covers `ends`, showing how far both daemons are.
    ///
    /// # Errors
    /// A daemon has ended, or nothing moves any more; the error shows what both say.
    pub async fn follow(
        &mut self,
        follower: &mut Follower,
        ends: &Ends,
        settings: &Settings,
        progress: &Progress,
    ) -> Result<Took> {
        let claiming = progress.step("s3-spolt: Kafka to S3");
        let loading = progress.step("redshift-spolt: S3 to Redshift");
        let (mut claiming, mut loading) = (Some(claiming), Some(loading));
        let mut claimed_after = None;
        let mut last = (0, 0, Instant::now());
        loop {
            self.must_run()?;
            follower.advance().await?;
            let (claimed, loaded, total) = follower.covered(ends);
            let seen = follower.seen();
            if let Some(step) = &claiming {
                let detail = format!(
                    "{} of {} events, {} objects",
                    thousands(claimed),
                    thousands(total),
                    thousands(seen.objects())
                );
                step.at(claimed, total, detail);
            }
            if let Some(step) = &loading {
                step.at(
                    loaded,
                    total,
                    format!(
                        "{} of {} events, {} loads",
                        thousands(loaded),
                        thousands(total),
                        thousands(seen.loads())
                    ),
                );
            }
            if claimed >= total
                && let Some(step) = claiming.take()
            {
                claimed_after = Some(self.began.0.elapsed());
                step.done(format!("{} events claimed", thousands(total)));
            }
            if loaded >= total
                && let Some(step) = loading.take()
            {
                step.done(format!("{} events loaded", thousands(total)));
                let loaded = self.began.1.elapsed();
                return Ok(Took {
                    claimed: claimed_after.unwrap_or(loaded),
                    loaded,
                });
            }
            if (claimed, loaded) != (last.0, last.1) {
                last = (claimed, loaded, Instant::now());
            } else if last.2.elapsed() > STALL {
                return Err(self.stalled(settings).await);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn stalled(&self, settings: &Settings) -> anyhow::Error {
        let mut text = format!("nothing was claimed or loaded for `{}` s", STALL.as_secs());
        for (daemon, http) in [(&self.s3, &settings.s3_http), (&self.redshift, &settings.redshift_http)] {
            let ready = match reqwest::get(format!("http://{http}/readyz")).await {
                Ok(response) => response.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            text += &format!(
                "\n/readyz of {http}: {ready}\nthe last lines of `{}`:\n{}",
                daemon.log().display(),
                daemon.log_tail()
            );
        }
        anyhow::anyhow!(text)
    }

    /// SIGTERM to both.
    ///
    /// # Errors
    /// One does not exit with 0.
    pub async fn stop(self, progress: &Progress) -> Result<()> {
        let step = progress.step("stopping the daemons");
        let (s3, redshift) = tokio::join!(self.s3.terminate(TERMINATE), self.redshift.terminate(TERMINATE));
        let (s3, redshift) = (s3?, redshift?);
        step.done(format!("s3-spolt: {s3}, redshift-spolt: {redshift}"));
        if !(s3.success() && redshift.success()) {
            bail!("a daemon did not exit with 0 on SIGTERM: s3-spolt `{s3}`, redshift-spolt `{redshift}`");
        }
        Ok(())
    }

    /// Lets both run on.
    pub fn detach(self) {
        self.s3.detach();
        self.redshift.detach();
    }
}

/// Stops what the stack has started.
///
/// # Errors
/// None is expected.
pub async fn stop_parts(stack: Stack, progress: &Progress) -> Result<()> {
    let step = progress.step("stopping the parts");
    tokio::task::spawn_blocking(move || stack.stop()).await?;
    step.done("");
    Ok(())
}
