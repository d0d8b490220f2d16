//! The whole path, once, in front of the user: real parts, real input, both daemons, and the comparison row by row.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::addresses::Addresses;
use crate::daemon::{Daemon, binary};
use crate::generator::load::{Load, Sent};
use crate::home::Home;
use crate::process::free_ports;
use crate::progress::{Progress, thousands};
use crate::stack::{Options, Stack};

pub mod compare;
pub mod config;
pub mod follow;
pub mod freshness;
pub mod report;

use compare::Comparison;
use config::Settings;
use follow::{Ends, Follower};
use freshness::Freshness;
use report::{Report, Stage};

/// The bucket of the quickstart.
const BUCKET: &str = "spolt-quickstart";

/// Same input every time.
const SEED: u64 = 1;

/// The steady phase.
const STEADY_RATE: u32 = 1_000;

/// What is claimed and loaded must move within this time; a load of a million rows takes some ten seconds on two busy cores.
const STALL: Duration = Duration::from_secs(120);

/// From SIGTERM to the end of a daemon; their own deadlines are 20 and 30 s.
const TERMINATE: Duration = Duration::from_secs(45);

/// How often what the daemons have done is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What the user asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Leave all running afterwards.
    pub keep: bool,
    /// Length of the steady phase.
    pub steady: Duration,
    /// Take only so many flights.
    pub limit: usize,
}

/// The two daemons.
struct Daemons {
    s3: Daemon,
    redshift: Daemon,
    /// When each was started.
    began: (Instant, Instant),
}

impl Daemons {
    fn must_run(&mut self) -> Result<()> {
        self.s3.must_run()?;
        self.redshift.must_run()
    }
}

/// Runs it all. Returns whether everything was equal.
///
/// # Errors
/// A part, a daemon or the comparison fails; the error says which and where to read more.
pub async fn run(home: Home, progress: &Progress, request: Request) -> Result<bool> {
    let programs = (binary("s3-spolt")?, binary("redshift-spolt")?);
    let mut options = Options::new(home.clone(), progress.clone());
    options.redshift_local = Some(binary("redshift-local")?);
    let mut stack = Stack::start(&options).await?;
    let data = stack.parts().context("a started stack knows its parts")?.data.clone();
    stack.s3().await?.create_bucket(BUCKET).await?;
    let kafka = stack.kafka()?;
    let load = Load::prepare(kafka.clone(), &stack.registry()?, &data, SEED, request.limit).await?;
    load.create_topics()
        .await
        .context("the topics cannot be created\nhint: the quickstart needs a Kafka without its topics `nyc.*`")?;
    let (load, backlog) = load.backlog(progress).await?;
    let settings = settings(&stack)?;
    let mut follower = Follower::new(kafka, &Load::topics(), &settings.target);
    let ends = follower.ends().await?;
    let mut daemons = start(&home, &stack, &settings, programs, &mut follower).await?;
    let took = follow_to(&mut follower, &ends, &mut daemons, &settings, progress).await?;
    let stages = stage_rows(&backlog, took, follower.rows_within(&ends));
    let first = compare_all(&stack, &load, progress).await?;

    let (load, delivered) = load.steady(STEADY_RATE, Some(request.steady), progress).await?;
    let ends = follower.ends().await?;
    follow_to(&mut follower, &ends, &mut daemons, &settings, progress).await?;
    let second = compare_all(&stack, &load, progress).await?;
    let freshness = Freshness::of(&delivered, follower.seen());
    let report = Report {
        stages,
        steady: freshness,
        steady_rate: STEADY_RATE,
        first: &first,
        second: &second,
        seen: follower.seen(),
        ends: &ends,
    };
    progress.suspend(|| println!("{report}"));
    let equal = first
        .iter()
        .chain(&second)
        .all(|comparison| comparison.differences == 0)
        && freshness.missing == 0;
    if request.keep {
        keep(&home, &mut stack, daemons, &settings, progress);
        return Ok(equal);
    }
    Ok(stop(stack, daemons, progress).await? && equal)
}

fn settings(stack: &Stack) -> Result<Settings> {
    let ports = free_ports(2)?;
    Ok(Settings {
        kafka: stack.bootstrap()?.to_owned(),
        registry: stack.registry_url()?.to_owned(),
        s3: stack.s3_endpoint()?.to_owned(),
        region: stack.addresses().aws.get("AWS_REGION").cloned(),
        redshift: stack.redshift_url()?.to_owned(),
        bucket: BUCKET.to_owned(),
        target: "quickstart".to_owned(),
        s3_http: format!("127.0.0.1:{}", ports[0]),
        redshift_http: format!("127.0.0.1:{}", ports[1]),
    })
}

async fn start(
    home: &Home,
    stack: &Stack,
    settings: &Settings,
    programs: (PathBuf, PathBuf),
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
    let mut s3 = one(&programs.0, "s3-spolt")?;
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
    let redshift = one(&programs.1, "redshift-spolt")?;
    Ok(Daemons {
        s3: s3.0,
        redshift: redshift.0,
        began: (s3.1, redshift.1),
    })
}

/// When everything was claimed, and when everything was loaded, since the start of the daemon that does it.
#[derive(Debug, Clone, Copy)]
struct Took {
    claimed: Duration,
    loaded: Duration,
}

/// Waits until the loader's progress covers `ends`, showing how far both daemons are.
async fn follow_to(
    follower: &mut Follower,
    ends: &Ends,
    daemons: &mut Daemons,
    settings: &Settings,
    progress: &Progress,
) -> Result<Took> {
    let claiming = progress.step("s3-spolt: Kafka to S3");
    let loading = progress.step("redshift-spolt: S3 to Redshift");
    let (mut claiming, mut loading) = (Some(claiming), Some(loading));
    let mut claimed_after = None;
    let mut last = (0, 0, Instant::now());
    loop {
        daemons.must_run()?;
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
            claimed_after = Some(daemons.began.0.elapsed());
            step.done(format!("{} events claimed", thousands(total)));
        }
        if loaded >= total
            && let Some(step) = loading.take()
        {
            step.done(format!("{} events loaded", thousands(total)));
            let loaded = daemons.began.1.elapsed();
            return Ok(Took {
                claimed: claimed_after.unwrap_or(loaded),
                loaded,
            });
        }
        if (claimed, loaded) != (last.0, last.1) {
            last = (claimed, loaded, Instant::now());
        } else if last.2.elapsed() > STALL {
            return Err(stalled(daemons, settings).await);
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn stalled(daemons: &Daemons, settings: &Settings) -> anyhow::Error {
    let mut text = format!("nothing was claimed or loaded for `{}` s", STALL.as_secs());
    for (daemon, http) in [
        (&daemons.s3, &settings.s3_http),
        (&daemons.redshift, &settings.redshift_http),
    ] {
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

async fn compare_all(stack: &Stack, load: &Load, progress: &Progress) -> Result<Vec<Comparison>> {
    let step = progress.step("comparing every row with the truth");
    let sql = stack.redshift().await?;
    let mut all = Vec::new();
    for truth in load.truths() {
        let (schema, table) = truth.table();
        step.say(format!("{schema}.{table}, {} rows", thousands(truth.len() as u64)));
        all.push(
            compare::table(&sql, truth)
                .await
                .with_context(|| format!("cannot compare `{schema}.{table}`"))?,
        );
    }
    let differences = all.iter().map(|comparison| comparison.differences).sum();
    let rows = all.iter().map(|comparison| comparison.rows).sum();
    step.done(format!(
        "{} rows, {} differences",
        thousands(rows),
        thousands(differences)
    ));
    for comparison in &all {
        for example in &comparison.examples {
            progress.note(format!("  {}: {example}", comparison.table));
        }
    }
    Ok(all)
}

fn stage_rows(backlog: &Sent, took: Took, rows: u64) -> Vec<Stage> {
    let stage = |name, records, took| Stage { name, records, took };
    vec![
        stage("generator: events to Kafka", backlog.records, backlog.took),
        stage("s3-spolt: Kafka to claimed objects", backlog.records, took.claimed),
        stage("redshift-spolt: objects to merged rows", rows, took.loaded),
    ]
}

/// SIGTERM to both daemons, which must exit with 0; then the parts stop.
async fn stop(stack: Stack, daemons: Daemons, progress: &Progress) -> Result<bool> {
    let step = progress.step("stopping the daemons");
    let (s3, redshift) = tokio::join!(daemons.s3.terminate(TERMINATE), daemons.redshift.terminate(TERMINATE));
    let (s3, redshift) = (s3?, redshift?);
    step.done(format!("s3-spolt: {s3}, redshift-spolt: {redshift}"));
    let step = progress.step("stopping the parts");
    tokio::task::spawn_blocking(move || stack.stop()).await?;
    step.done("");
    if !(s3.success() && redshift.success()) {
        bail!("a daemon did not exit with 0 on SIGTERM: s3-spolt `{s3}`, redshift-spolt `{redshift}`");
    }
    Ok(true)
}

fn keep(home: &Home, stack: &mut Stack, daemons: Daemons, settings: &Settings, progress: &Progress) {
    daemons.s3.detach();
    daemons.redshift.detach();
    stack.detach();
    let text = format!(
        "Everything goes on running. Where to look:\n  \
         tables         psql {}\n  \
         state          curl http://{}/state   and   curl http://{}/state\n  \
         metrics        the same with /metrics\n  \
         logs           {}\n  \
         configuration  {}\n  \
         addresses      {}\n\
         More load: {} produce --home {} --no-backlog --rate 1000\n\
         Stop it all: ./quickstart down",
        settings.redshift,
        settings.s3_http,
        settings.redshift_http,
        home.logs().display(),
        home.run().join("spolt.toml").display(),
        home.run().join(crate::stack::ADDRESSES_FILE).display(),
        std::env::current_exe().map_or_else(|_| "devstack".into(), |file| file.display().to_string()),
        home.root().display(),
    );
    progress.suspend(|| println!("{text}"));
}
