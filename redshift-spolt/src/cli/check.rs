//! `check`: connections and rights, each tried for real and undone, and what is missing said with a hint.

use common::failure::Failure;
use common::manifest::{self, Entry};
use runtime::config::Config;
use runtime::kafka::TopicRole;
use runtime::port::{PutObject, Session, World as _};
use runtime::report::Error;
use runtime::world::RealWorld;
use sha2::{Digest, Sha256};

use super::{Settings, authorization, open, readiness};
use crate::driver::load::{catalog, connecting, look};
use crate::driver::plans::{self, Plans};
use crate::load::mode::{self, Mode};
use crate::load::outcome::meaning;
use crate::load::sql::{identifier, literal};
use crate::load::statements::{Purpose, Target};

struct Findings {
    failed: usize,
}

impl Findings {
    fn tell<T>(&mut self, what: &str, result: Result<T, Failure>) -> Option<T> {
        match result {
            Ok(value) => {
                println!("ok      {what}");
                Some(value)
            }
            Err(failure) => {
                self.failed += 1;
                println!("MISSING {what}: {failure}");
                None
            }
        }
    }
}

pub(super) async fn check(config: Config, settings: Settings) -> Result<(), Error> {
    let readiness = readiness();
    let world = open::world(&config, &settings, &readiness).await?;
    let mut findings = Findings { failed: 0 };
    if findings.tell("Kafka answers", world.kafka.cluster_id().await).is_some() {
        topics(&config, &settings, &world, &mut findings).await;
    }
    let probe = probe(&config, &settings, &world).await;
    let probe = findings.tell(&format!("bucket `{}` takes objects", world.store.bucket()), probe);
    let session = world.warehouse.connect().await.map_err(|failure| connecting(&failure));
    if let Some(mut session) = findings.tell("Redshift lets us in", session) {
        warehouse(&settings, &world, &mut *session, probe, &mut findings).await;
        modes(&config, &settings, &world, &mut *session, &mut findings).await;
    }
    if findings.failed > 0 {
        Err(Error::Check(findings.failed))
    } else {
        Ok(())
    }
}

async fn topics(config: &Config, settings: &Settings, world: &open::World, findings: &mut Findings) {
    let tables = open::topics(config, settings, &world.kafka).await;
    for (topic, table) in findings
        .tell("every topic has a table of its own", tables)
        .unwrap_or_default()
    {
        let signals = config.signals.topic_for(&topic);
        let what = format!("signal topic `{signals}` (for {table}) is readable");
        let found = match world.kafka.topic(&signals).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => {
                Err(Failure::retry("it does not exist yet").hint("s3-spolt creates it when it begins with the topic"))
            }
            Err(failure) => Err(failure),
        };
        if findings.tell(&what, found).is_none() {
            continue;
        }
        for finding in world
            .kafka
            .check_topic(&signals, TopicRole::Signal)
            .await
            .unwrap_or_default()
        {
            if config.kafka.allow_unsafe_topics {
                println!("warning {finding}");
            } else {
                findings.tell::<()>(
                    &format!("signal topic `{signals}` keeps what it is given"),
                    Err(Failure::stop(finding.message).hint(finding.hint)),
                );
            }
        }
    }
}

/// Puts one tiny object and a manifest of it; the key of the manifest.
async fn probe(config: &Config, settings: &Settings, world: &open::World) -> Result<String, Failure> {
    let folder = config.s3.prefix.trim_matches('/');
    let folder = if folder.is_empty() {
        String::new()
    } else {
        format!("{folder}/")
    };
    let key = format!("{folder}_check/{}.csv", RealWorld.uuid());
    let body = b"1\n".to_vec();
    let sha256 = Sha256::digest(&body).into();
    let bytes = body.len() as u64;
    let object = PutObject {
        key: key.clone(),
        body: body.into(),
        sha256,
        content_type: "text/csv",
        metadata: Vec::new(),
    };
    world.store.put_if_absent(object).await?;
    let entry = Entry {
        bucket: world.store.bucket().to_owned(),
        key,
        bytes,
    };
    let manifest = common::claim::manifest_key(
        &config.s3.prefix,
        &settings.own.target,
        &format!("check-{}", RealWorld.uuid()),
        0,
    );
    world
        .store
        .put_if_absent(plans::object(manifest.clone(), manifest::document(&[entry])))
        .await?;
    Ok(manifest)
}

async fn warehouse(
    settings: &Settings,
    world: &open::World,
    session: &mut dyn Session,
    probe: Option<String>,
    findings: &mut Findings,
) {
    let tables = &settings.own.tables;
    let schema = identifier(&tables.state_schema);
    let mut create = vec!["BEGIN".to_owned()];
    if tables.create_schemas {
        create.push(format!("CREATE SCHEMA IF NOT EXISTS {schema}"));
    }
    create.push(format!("CREATE TABLE {schema}.\"spolt_check\" (\"a\" INTEGER)"));
    let created = all(session, &create).await;
    findings.tell(
        &format!("we may create tables in schema `{}`", tables.state_schema),
        created,
    );
    let _ = session.run("ROLLBACK").await;
    if let Some(manifest) = probe {
        let copied = copy(settings, world, session, &manifest).await;
        findings.tell("COPY reads the bucket", copied);
        let _ = session.run("ROLLBACK").await;
    }
}

/// Every table that has rows goes on in the mode that it began in.
async fn modes(
    config: &Config,
    settings: &Settings,
    world: &open::World,
    session: &mut dyn Session,
    findings: &mut Findings,
) {
    // That the topics can be read is told elsewhere.
    let tables = open::topics(config, settings, &world.kafka).await.unwrap_or_default();
    for (topic, name) in tables {
        let target = settings.target(config, &topic, name);
        let what = format!("table {} is in the mode of its topic", target.table);
        match in_mode(config, world, session, &target).await {
            Ok(None) => {}
            Ok(Some(mode)) => drop(findings.tell(&format!("{what}, `{}`", mode.name()), Ok(()))),
            Err(failure) => drop(findings.tell::<()>(&what, Err(failure))),
        }
    }
}

/// The mode of a table that has rows.
async fn in_mode(
    config: &Config,
    world: &open::World,
    session: &mut dyn Session,
    target: &Target,
) -> Result<Option<Mode>, Failure> {
    let state = look(session, target).await?;
    let Some(plan) = state.table.as_ref().and_then(|row| row.plan.as_ref()) else {
        return Ok(None);
    };
    let known = Plans::default();
    let plan = known
        .get(&*world.store, world.store.bucket(), &config.s3.prefix, plan)
        .await?;
    let present = catalog(session, &target.table).await?;
    let mode = Mode::of(target.mode, &plan);
    mode::settled(mode, state.table.as_ref(), &present)?;
    Ok(Some(mode))
}

async fn all(session: &mut dyn Session, statements: &[String]) -> Result<(), Failure> {
    for statement in statements {
        session
            .run(statement)
            .await
            .map_err(|failure| meaning(Some(Purpose::CreateTarget), &failure).failure().clone())?;
    }
    Ok(())
}

async fn copy(
    settings: &Settings,
    world: &open::World,
    session: &mut dyn Session,
    manifest: &str,
) -> Result<(), Failure> {
    let source = literal(&format!("s3://{}/{manifest}", world.store.bucket()))?;
    let region = literal(world.store.region())?;
    all(
        session,
        &[
            "BEGIN".into(),
            "CREATE TEMP TABLE \"spolt_check\" (\"a\" INTEGER)".into(),
        ],
    )
    .await?;
    let authorization = authorization(&settings.own.copy)?;
    let sql =
        format!("COPY \"spolt_check\" (\"a\") FROM {source} {authorization} REGION {region} MANIFEST FORMAT AS CSV");
    let copied = session.run(&sql).await;
    copied.map_err(|failure| meaning(Some(Purpose::Copy), &failure).failure().clone())?;
    let answer = session
        .run("SELECT pg_last_copy_count()")
        .await
        .map_err(|failure| connecting(&failure))?;
    match answer
        .rows
        .first()
        .and_then(|row| row.first().cloned().flatten())
        .as_deref()
    {
        Some("1") => Ok(()),
        other => Err(Failure::stop(format!(
            "COPY of one row reports `{}` rows",
            other.unwrap_or("no")
        ))),
    }
}
