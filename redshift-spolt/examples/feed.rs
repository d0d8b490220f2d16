//! Puts hand-made objects and claims where redshift-spolt finds them, without s3-spolt: `feed --config spolt.toml --topic a.b.c`.
//!
//! Every key is inserted, updated about twice and sometimes deleted, so that a million events make some 330,000 rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use common::claim::{Claim, Compression, Dialect, Kind, Object, object_key, plan_key};
use common::ids::{Incarnation, Lineage, Offset, Partition};
use common::plan::{Column, Plan, hex};
use common::table::ColumnType;
use runtime::config::Config;
use runtime::kafka::Kafka;
use runtime::port::{ObjectStore, PutObject, SignalLog, World};
use runtime::readiness::Readiness;
use runtime::s3::S3Store;
use runtime::world::RealWorld;
use sha2::{Digest, Sha256};

#[derive(Debug, Parser)]
struct Arguments {
    #[arg(long)]
    config: std::path::PathBuf,
    #[arg(long)]
    topic: String,
    #[arg(long, default_value_t = 1_000_000)]
    events: i64,
    #[arg(long, default_value_t = 333_000)]
    keys: i64,
    #[arg(long, default_value_t = 6)]
    partitions: i32,
    /// Rows of one object.
    #[arg(long, default_value_t = 50_000)]
    rows: i64,
    /// First offset of every partition; 0 sends the genesis.
    #[arg(long, default_value_t = 0)]
    from: i64,
    /// Every claim is sent again later, and overlaps the one before.
    #[arg(long)]
    zombies: bool,
    /// Adds a column with a default.
    #[arg(long)]
    wide: bool,
}

fn plan(wide: bool) -> Plan {
    let column = |name: &str, ty, key: Option<u16>, default: Option<&str>| Column {
        name: name.into(),
        ty,
        nullable: key.is_none(),
        default: default.map(str::to_owned),
        key,
        source: name.into(),
    };
    let mut columns = vec![
        column("id", ColumnType::BigInt, Some(0), None),
        column("carrier", ColumnType::Varchar { limit: None }, None, None),
        column("origin", ColumnType::Varchar { limit: Some(12) }, None, None),
        column("departs", ColumnType::TimestampTz, None, None),
        column("delay", ColumnType::Integer, None, None),
        column("distance", ColumnType::Double, None, None),
        column(
            "price",
            ColumnType::Decimal {
                precision: 12,
                scale: 2,
            },
            None,
            None,
        ),
        column("at", ColumnType::Time, None, None),
        column("doc", ColumnType::Super, None, None),
        column("raw", ColumnType::Varbyte { limit: Some(64) }, None, None),
        column("open", ColumnType::Boolean, None, None),
    ];
    if wide {
        columns.push(column("tail", ColumnType::Varchar { limit: None }, None, Some("none")));
    }
    Plan { columns }
}

fn row(csv: &mut String, partition: i32, partitions: i64, offset: i64, arguments: &Arguments) {
    let (event, keys) = (offset * partitions + i64::from(partition), arguments.keys);
    // All events of a key lie in one partition.
    let id = (event / partitions) % (keys / partitions) * partitions + i64::from(partition);
    if event % 97 == 13 {
        let _ = write!(
            csv,
            "d,0,{partition},{offset},0,2026-01-02 03:04:05.678,~,{id},~,~,~,~,~,~,~,~,~,~"
        );
    } else {
        let _ = write!(
            csv,
            "u,0,{partition},{offset},0,2026-01-02 03:04:05.678,~,{id},\"carrier, {event}\",\"JFK\",2026-01-02 03:04:05.1+00,{},{}.5,{}.25,12:13:14.5,\"{{\"\"n\"\":{event}}}\",\"00ff\",t",
            event % 300,
            event % 5000,
            event % 900
        );
    }
    csv.push_str(if arguments.wide { ",\"tail\"\n" } else { "\n" });
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let config = Config::load(&arguments.config)?;
    let readiness = Readiness::new();
    let kafka = Kafka::new(&config.kafka, "feed", &readiness)?;
    let store = S3Store::new(&config.s3, Arc::new(RealWorld), &readiness).await;
    let signals = config.signals.topic_for(&arguments.topic);
    kafka
        .ensure_signal_topic(
            &signals,
            u32::try_from(arguments.partitions)?,
            config.signals.replication_factor,
        )
        .await?;
    let plan = plan(arguments.wide);
    put(&store, plan_key(&config.s3.prefix, &plan.id()), plan.document()).await?;
    let started = std::time::Instant::now();
    for partition in 0..arguments.partitions {
        feed(&arguments, &config, &kafka, &store, &plan, &signals, partition)
            .await
            .with_context(|| format!("partition {partition}"))?;
    }
    println!(
        "{} events in {:.1} s",
        arguments.events,
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

async fn feed(
    arguments: &Arguments,
    config: &Config,
    kafka: &Kafka,
    store: &S3Store,
    plan: &Plan,
    signals: &str,
    partition: i32,
) -> anyhow::Result<()> {
    let partitions = i64::from(arguments.partitions);
    let lineage = Lineage {
        cluster: kafka.cluster_id().await?,
        topic: arguments.topic.clone(),
        incarnation: Incarnation(0),
        partition: Partition(partition),
    };
    let log = kafka.signal_log();
    let send = async |claim: Claim| {
        log.append(signals, Partition(partition), Vec::new(), claim.encode())
            .await
            .map(drop)
    };
    if arguments.from == 0 {
        send(Claim::new(Kind::Genesis, &lineage, Offset(0), Offset(0))).await?;
    }
    let end = arguments.from + arguments.events / partitions;
    let mut start = arguments.from;
    let mut sent: Vec<Claim> = Vec::new();
    while start < end {
        let next = (start + arguments.rows).min(end);
        let mut csv = String::new();
        (start..next).for_each(|offset| row(&mut csv, partition, partitions, offset, arguments));
        let body = zstd::encode_all(csv.as_bytes(), 1)?;
        let digest: [u8; 32] = Sha256::digest(&body).into();
        let key = object_key(
            &config.s3.prefix,
            &lineage,
            Offset(start),
            Offset(next),
            &hex(&digest),
            Compression::Zstd,
        );
        let bytes = body.len() as u64;
        put(store, key.clone(), body).await?;
        let rows = u64::try_from(next - start)?;
        let claim = Claim {
            records: rows,
            rows,
            plan: Some(plan.id()),
            dialect: Some(Dialect {
                id: "redshift-csv-1".into(),
                delimiter: ',',
                quote: '"',
                null: "~".into(),
                compression: Compression::Zstd,
            }),
            object: Some(Object {
                bucket: store.bucket().to_owned(),
                region: store.region().to_owned(),
                key,
                bytes,
                sha256: hex(&digest),
            }),
            longest: BTreeMap::from([("carrier".to_owned(), 20)]),
            max_time_ms: Some(RealWorld.now_ms()),
            ..Claim::new(Kind::Data, &lineage, Offset(start), Offset(next))
        };
        send(claim.clone()).await?;
        sent.push(claim);
        if arguments.zombies {
            send(sent[sent.len() / 2].clone()).await?;
        }
        start = if arguments.zombies && next < end && next - start > 10 {
            next - 7
        } else {
            next
        };
    }
    Ok(())
}

async fn put(store: &S3Store, key: String, body: Vec<u8>) -> anyhow::Result<()> {
    let sha256 = Sha256::digest(&body).into();
    let object = PutObject {
        key,
        body: body.into(),
        sha256,
        content_type: "application/octet-stream",
        metadata: Vec::new(),
    };
    store.put_if_absent(object).await?;
    Ok(())
}
