//! One test's own corner of the real parts: a bucket, topics, schemas, a target schema, configuration files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use apache_avro::Schema;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use common::claim::Claim;
use common::ids::Lineage;
use common::invariants;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, Headers as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, TopicPartitionList};

use crate::daemon::{self, Daemon};
use crate::oracle::{self, Cells, Change};
use crate::parts::Parts;
use crate::source;
use crate::wait::until;
use crate::warehouse::{Row, Warehouse};

/// Where a rig keeps its files.
enum Folder {
    /// Gone with the rig.
    Passing(tempfile::TempDir),
    /// Somebody else's, who may keep it.
    Kept(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Folder::Passing(folder) => folder.path(),
            Folder::Kept(folder) => folder,
        }
    }
}

/// Addresses at which one daemon finds the parts: those of the stack, or of something in between that misbehaves.
#[derive(Debug, Clone)]
pub struct Via {
    /// Kafka, host:port.
    pub kafka: String,
    /// S3 endpoint.
    pub s3: String,
    /// The warehouse, as a `postgresql://` URL.
    pub redshift: String,
}

/// See the module.
pub struct Rig {
    /// Addresses.
    pub parts: Parts,
    /// Unique to this test run; also the target schema.
    pub name: String,
    /// Bucket of this test.
    pub bucket: String,
    folder: Folder,
    schemas: BTreeMap<u32, Schema>,
    /// Further variables of the daemons' environment.
    pub env: Vec<(String, String)>,
    /// Brokers that hold every partition of new topics, the preferred leader first; one anywhere if empty.
    pub brokers: Vec<i32>,
    /// Rows after which an object is cut.
    pub cut_rows: usize,
    /// Age after which an object is cut, as the configuration has it.
    pub cut_age: String,
    /// Folder of the bucket below which everything lies; none if empty.
    pub prefix: String,
    /// Further lines of the configuration, appended at its end.
    pub extra_config: String,
    /// Lines of `[s3_spolt]` beside those that every test has.
    pub extra_s3_spolt: String,
    /// Lines of `[s3]` beside those that every test has.
    pub extra_s3: String,
    /// Lines of `[redshift_spolt]` beside those that every test has.
    pub extra_redshift_spolt: String,
    /// Endpoint of S3 for the daemons, if not LocalStack itself.
    pub s3_endpoint: Option<String>,
}

fn region() -> String {
    std::env::var("AWS_REGION").unwrap_or_else(|_| "us-east-1".to_owned())
}

/// A client for the object store, with the credentials of the environment; LocalStack takes any.
#[must_use]
pub fn s3_client(endpoint: &str) -> aws_sdk_s3::Client {
    let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let credentials = Credentials::new(
        get("AWS_ACCESS_KEY_ID").unwrap_or_else(|| "test".to_owned()),
        get("AWS_SECRET_ACCESS_KEY").unwrap_or_else(|| "test".to_owned()),
        get("AWS_SESSION_TOKEN"),
        None,
        "tests",
    );
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region()))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .credentials_provider(credentials)
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

/// Produces changes and waits until all are acknowledged.
pub fn produce(bootstrap: &str, topic: &str, changes: &[source::Change]) {
    let records = changes
        .iter()
        .map(|change| (change.partition, Some(&change.key[..]), change.value.as_deref()));
    produce_raw(bootstrap, topic, records);
}

/// Produces any records: partition, key, value.
///
/// # Panics
/// When one is not acknowledged.
pub fn produce_raw<'a>(
    bootstrap: &str,
    topic: &str,
    records: impl Iterator<Item = (i32, Option<&'a [u8]>, Option<&'a [u8]>)>,
) {
    Sender::new(bootstrap).send(topic, records);
}

/// Key and value of a record.
pub type Record<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// A producer that stays, for those who send often.
pub struct Sender {
    producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext>,
}

impl Sender {
    /// A producer of its own.
    ///
    /// # Panics
    /// When there can be none.
    #[must_use]
    pub fn new(bootstrap: &str) -> Sender {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .create()
            .expect("a producer can be made");
        Sender { producer }
    }

    /// Sends records (partition, key, value) and waits until all are acknowledged.
    ///
    /// # Panics
    /// When one is not acknowledged.
    pub fn send<'a>(&self, topic: &str, records: impl Iterator<Item = (i32, Option<&'a [u8]>, Option<&'a [u8]>)>) {
        for (partition, key, value) in records {
            self.queue(topic, partition, (key, value), OwnedHeaders::new());
        }
        self.flush();
    }

    /// Sends one record with headers and waits until it is acknowledged.
    ///
    /// # Panics
    /// When it is not.
    pub fn send_headed(&self, topic: &str, partition: i32, record: Record<'_>, headers: &[(&str, Option<&[u8]>)]) {
        let headers = headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
            all.insert(Header { key, value: *value })
        });
        self.queue(topic, partition, record, headers);
        self.flush();
    }

    fn queue(&self, topic: &str, partition: i32, (key, value): Record<'_>, headers: OwnedHeaders) {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition);
        record.key = key;
        record.payload = value;
        record.headers = (headers.count() > 0).then_some(headers);
        while let Err((error, back)) = self.producer.send(record) {
            let full = rdkafka::types::RDKafkaErrorCode::QueueFull;
            assert_eq!(error.rdkafka_error_code(), Some(full), "produce: {error}");
            std::thread::sleep(Duration::from_millis(5));
            record = back;
        }
    }

    fn flush(&self) {
        self.producer
            .flush(Duration::from_secs(60))
            .expect("everything is acknowledged");
    }
}

impl Rig {
    /// A fresh corner.
    ///
    /// # Panics
    /// When a part does not answer.
    pub async fn new(test: &str) -> Rig {
        let folder = tempfile::tempdir().expect("a folder can be made");
        Rig::of(Parts::from_env(), test, Folder::Passing(folder)).await
    }

    /// A fresh corner of these parts, with its files in a folder that stays.
    ///
    /// # Panics
    /// When a part does not answer.
    pub async fn kept(parts: Parts, test: &str, folder: PathBuf) -> Rig {
        Rig::of(parts, test, Folder::Kept(folder)).await
    }

    async fn of(parts: Parts, test: &str, folder: Folder) -> Rig {
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("{test}_{}", &unique[..8]);
        let own = std::env::var("SPOLT_S3_BUCKET")
            .ok()
            .filter(|bucket| !bucket.is_empty());
        let (bucket, prefix) = match own {
            Some(bucket) => (bucket, format!("drills/{name}")),
            None => (name.replace('_', "-"), String::new()),
        };
        if prefix.is_empty() {
            let created = s3_client(&parts.s3).create_bucket().bucket(&bucket).send().await;
            created.expect("the bucket can be created");
        }
        Rig {
            parts,
            name,
            bucket,
            folder,
            prefix,
            env: Vec::new(),
            brokers: Vec::new(),
            cut_rows: 2_000,
            cut_age: "300ms".to_owned(),
            schemas: BTreeMap::new(),
            extra_config: String::new(),
            extra_s3_spolt: String::new(),
            extra_s3: String::new(),
            extra_redshift_spolt: String::new(),
            s3_endpoint: None,
        }
    }

    /// Name of the Debezium topic of a table.
    #[must_use]
    pub fn topic(&self, table: &str) -> String {
        format!("src.{}.{table}", self.name)
    }

    /// Creates a topic.
    ///
    /// # Panics
    /// When the broker refuses.
    pub async fn create_topic(&self, topic: &str, partitions: i32) {
        let admin = self.admin();
        let everywhere = vec![&self.brokers[..]; usize::try_from(partitions).expect("some partitions")];
        let replicas = if self.brokers.is_empty() {
            TopicReplication::Fixed(1)
        } else {
            TopicReplication::Variable(&everywhere)
        };
        let new = NewTopic::new(topic, partitions, replicas);
        let created = admin
            .create_topics(&[new], &AdminOptions::new())
            .await
            .expect("the broker answers");
        created[0].as_ref().expect("the topic is created");
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.parts.kafka)
            .create()
            .expect("an admin client")
    }

    /// Deletes a topic and waits until nobody knows it any more.
    ///
    /// # Panics
    /// When the broker refuses.
    pub async fn delete_topic(&self, topic: &str) {
        let admin = self.admin();
        delete(&admin, topic).await;
        until("the topic is gone", async || {
            let metadata = admin
                .inner()
                .fetch_metadata(None, Duration::from_secs(10))
                .map_err(|error| error.to_string())?;
            let there = metadata.topics().iter().any(|known| known.name() == topic);
            (!there).then_some(()).ok_or_else(|| "still there".to_owned())
        })
        .await;
    }

    /// Raises the number of partitions of a topic.
    ///
    /// # Panics
    /// When the broker refuses.
    pub async fn add_partitions(&self, topic: &str, partitions: usize) {
        let admin = self.admin();
        let grown = NewPartitions::new(topic, partitions);
        let created = admin
            .create_partitions(&[grown], &AdminOptions::new())
            .await
            .expect("the broker answers");
        created[0].as_ref().expect("the topic grows");
    }

    /// Deletes a topic and creates it again, empty.
    ///
    /// # Panics
    /// When the broker refuses.
    pub async fn recreate_topic(&self, topic: &str, partitions: i32) {
        let admin = self.admin();
        delete(&admin, topic).await;
        until("the topic can be created again", async || {
            let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
            let created = admin.create_topics(&[new], &AdminOptions::new()).await;
            let created = created.map_err(|error| error.to_string())?;
            created[0].as_ref().map(drop).map_err(|(_, code)| code.to_string())
        })
        .await;
    }

    /// Deletes the records of a partition below an offset.
    ///
    /// # Panics
    /// When the broker refuses.
    pub async fn delete_records(&self, topic: &str, partition: i32, below: i64) {
        let admin = self.admin();
        let mut offsets = TopicPartitionList::new();
        offsets
            .add_partition_offset(topic, partition, rdkafka::Offset::Offset(below))
            .expect("an offset can be set");
        admin
            .delete_records(&offsets, &AdminOptions::new())
            .await
            .expect("the broker deletes");
    }

    /// Registers a schema and remembers it for the oracle.
    ///
    /// # Panics
    /// When the registry refuses.
    pub async fn register(&mut self, subject: &str, schema: &str) -> u32 {
        let url = format!("{}/subjects/{subject}/versions", self.parts.registry);
        let body = serde_json::json!({ "schema": schema }).to_string();
        let request = reqwest::Client::new()
            .post(url)
            .header("content-type", "application/vnd.schemaregistry.v1+json")
            .body(body);
        let text = request
            .send()
            .await
            .expect("the registry answers")
            .text()
            .await
            .expect("with a text");
        let answer: serde_json::Value = serde_json::from_str(&text).expect("in JSON");
        let id = answer["id"].as_u64().unwrap_or_else(|| panic!("no id in {answer}"));
        let id = u32::try_from(id).expect("ids are small");
        self.schemas
            .insert(id, Schema::parse_str(schema).expect("the schema parses"));
        id
    }

    /// A new Debezium topic with its schemas, and a source of changes for it.
    pub async fn source(&mut self, table: &str, partitions: i32, seed: u64) -> source::Source {
        let topic = self.topic(table);
        self.create_topic(&topic, partitions).await;
        let key = self.register(&format!("{topic}-key"), source::KEY_SCHEMA).await;
        let value = self
            .register(&format!("{topic}-value"), &source::envelope_schema(&source::COLUMNS))
            .await;
        source::Source::new(seed, partitions, key, value, &source::COLUMNS)
    }

    /// Produces changes and waits until all are acknowledged.
    pub fn produce(&self, topic: &str, changes: &[source::Change]) {
        produce(&self.parts.kafka, topic, changes);
    }

    /// Produces any records: partition, key, value.
    pub fn produce_raw<'a>(
        &self,
        topic: &str,
        records: impl Iterator<Item = (i32, Option<&'a [u8]>, Option<&'a [u8]>)>,
    ) {
        produce_raw(&self.parts.kafka, topic, records);
    }

    /// Writes a configuration that reads the topics of this test and loads `target` at `redshift_url`.
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn config(&self, file: &str, target: &str, redshift_url: &str) -> PathBuf {
        let via = Via {
            kafka: self.parts.kafka.clone(),
            s3: self.s3_endpoint.clone().unwrap_or_else(|| self.parts.s3.clone()),
            redshift: redshift_url.to_owned(),
        };
        self.config_via(file, target, &via)
    }

    /// The same for a daemon that finds the parts elsewhere.
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn config_via(&self, file: &str, target: &str, via: &Via) -> PathBuf {
        let url: tokio_postgres::Config = via.redshift.parse().expect("a postgresql:// URL");
        let tokio_postgres::config::Host::Tcp(host) = &url.get_hosts()[0] else {
            panic!("a TCP host")
        };
        let text = format!(
            r#"
[kafka]
bootstrap_servers = "{kafka}"
allow_unsafe_topics = true
[kafka.properties]
"session.timeout.ms" = "6000"
"heartbeat.interval.ms" = "500"
[registry]
url = "{registry}"
[s3]
bucket = "{bucket}"
prefix = "{prefix}"
region = "{region}"
endpoint = "{endpoint}"
{s3}
path_style = true
[signals]
replication_factor = {replication}
progress_topic = "{progress}"
[log]
level = "info"
[s3_spolt]
topics = ['^src\.{name}\..*']
group_id = "s3-{name}"
http = "127.0.0.1:0"
cut_rows = {cut_rows}
cut_age = "{cut_age}"
memory = "128MiB"
encode_threads = 2
{s3_spolt}
[redshift_spolt]
target = "{target}"
group_id = "loader-{name}-{{target}}"
http = "127.0.0.1:0"
load_age = "200ms"
{redshift_spolt}
[redshift_spolt.connection]
host = "{host}"
port = {port}
database = "{database}"
user = "{user}"
sslmode = "disable"
[redshift_spolt.copy]
iam_role = "default"
[redshift_spolt.tables]
state_schema = "state_{name}"
{extra}
"#,
            kafka = via.kafka,
            replication = self.brokers.len().max(1),
            progress = self.progress_topic(),
            endpoint = via.s3,
            prefix = self.prefix,
            region = region(),
            cut_rows = self.cut_rows,
            cut_age = self.cut_age,
            s3 = self.extra_s3,
            registry = self.parts.registry,
            bucket = self.bucket,
            name = self.name,
            s3_spolt = self.extra_s3_spolt,
            redshift_spolt = self.extra_redshift_spolt,
            port = url.get_ports().first().copied().unwrap_or(5439),
            database = url.get_dbname().unwrap_or("dev"),
            user = url.get_user().unwrap_or("spolt"),
            extra = self.extra_config,
        );
        let path = self.folder.path().join(file);
        // A daemon that was just started may be reading the file of the same name.
        let written = self.folder.path().join(format!("{file}.{}", uuid::Uuid::new_v4()));
        std::fs::write(&written, text).expect("the configuration can be written");
        std::fs::rename(&written, &path).expect("the configuration can be put in place");
        path
    }

    /// Runs a command of a daemon with this test's configuration: whether it succeeded, and what it printed.
    #[must_use]
    pub fn command(&self, name: &str, arguments: &[&str]) -> (bool, String) {
        let config = self.config("spolt.toml", "main", &self.parts.redshift);
        let aws = self
            .parts
            .aws
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        daemon::command_with(name, &config, arguments, aws)
    }

    /// Starts an s3-spolt.
    #[must_use]
    pub fn start_s3_spolt(&self) -> Daemon {
        Daemon::start("s3-spolt", &self.config("spolt.toml", "main", &self.parts.redshift))
    }

    /// Starts a redshift-spolt for the stand-in.
    #[must_use]
    pub fn start_redshift_spolt(&self) -> Daemon {
        Daemon::start(
            "redshift-spolt",
            &self.config("spolt.toml", "main", &self.parts.redshift),
        )
    }

    /// The changes of a topic as the oracle reads them.
    #[must_use]
    pub fn changes(&self, topic: &str) -> Vec<Change> {
        oracle::changes(&oracle::replay(&self.parts.kafka, topic), &self.schemas)
    }

    /// Waits until the upsert table of a topic equals the truth, row by row, column by column, origin columns included.
    pub async fn upserted(&self, redshift_url: &str, table: &str) {
        let (sql, expected) = self.upserted_rows(table);
        self.equals(redshift_url, table, &sql, expected).await;
    }

    /// The topic on which loaders say how far they are.
    #[must_use]
    pub fn progress_topic(&self) -> String {
        format!("progress.{}", self.name)
    }

    /// What the upsert table of a topic must hold now, and the query that must answer it.
    #[must_use]
    pub fn upserted_rows(&self, table: &str) -> (String, Vec<Row>) {
        self.upserted_by(table, &self.changes(&self.topic(table)))
    }

    /// The same after these changes.
    #[must_use]
    pub fn upserted_by(&self, table: &str, changes: &[Change]) -> (String, Vec<Row>) {
        let columns = oracle::columns(changes);
        let expected: Vec<Row> = oracle::survivors(changes)
            .values()
            .map(|change| line(change, &columns))
            .collect();
        let list: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
        let sql = format!(
            "SELECT \"_kafka_partition\", \"_kafka_offset\", {} FROM \"{}\".\"{table}\" ORDER BY \"id\", \"_kafka_offset\"",
            list.join(", "),
            self.name
        );
        (sql, expected)
    }

    /// Waits until the append table of a topic holds every change exactly once.
    pub async fn appended(&self, redshift_url: &str, table: &str) {
        let (sql, expected) = self.appended_rows(table);
        self.equals(redshift_url, table, &sql, expected).await;
    }

    /// What the append table of a topic must hold now, and the query that must answer it.
    #[must_use]
    pub fn appended_rows(&self, table: &str) -> (String, Vec<Row>) {
        self.appended_by(table, &self.changes(&self.topic(table)))
    }

    /// The same after these changes.
    #[must_use]
    pub fn appended_by(&self, table: &str, changes: &[Change]) -> (String, Vec<Row>) {
        let columns = oracle::columns(changes);
        let with_op = |change: &Change| {
            let mut row = vec![Some(change.op.clone())];
            row.extend(line(change, &columns));
            row
        };
        let expected = changes.iter().map(with_op).collect();
        let list: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
        let sql = format!(
            "SELECT \"_kafka_op\", \"_kafka_partition\", \"_kafka_offset\", {} FROM \"{}\".\"{table}\" \
             ORDER BY \"_kafka_incarnation\", \"_kafka_partition\", \"_kafka_offset\"",
            list.join(", "),
            self.name
        );
        (sql, expected)
    }

    /// Every prefix of the signal log of a topic leaves no gap (invariants I2, I3), and every claim's object lies on S3.
    ///
    /// # Panics
    /// When it does.
    pub async fn chains_hold(&self, table: &str) {
        let log = oracle::replay(&self.parts.kafka, &format!("spolt.signals.{}", self.topic(table)));
        let claims: Vec<Claim> = log
            .iter()
            .map(|seen| Claim::decode(seen.value.as_deref().expect("a claim")).expect("a claim"))
            .collect();
        let lineages: BTreeSet<Lineage> = claims.iter().map(Claim::lineage).collect();
        for lineage in &lineages {
            let of_partition: Vec<Claim> = claims
                .iter()
                .filter(|claim| claim.partition == lineage.partition)
                .cloned()
                .collect();
            invariants::chain(&of_partition, lineage).unwrap_or_else(|violation| panic!("{violation}"));
        }
        let client = s3_client(&self.parts.s3);
        for object in claims.iter().filter_map(|claim| claim.object.as_ref()) {
            let head = client
                .head_object()
                .bucket(&object.bucket)
                .key(&object.key)
                .send()
                .await;
            let head = head.unwrap_or_else(|error| panic!("`{}` is claimed and missing: {error}", object.key));
            assert_eq!(
                head.content_length(),
                i64::try_from(object.bytes).ok(),
                "{}",
                object.key
            );
        }
    }

    /// Asks the stand-in for a fault, once, on statements or transactions that touch a table of this test.
    ///
    /// # Panics
    /// When the stand-in refuses.
    pub async fn fault(&self, kind: &str, table: &str) {
        let body = serde_json::json!({ "kind": kind, "table": format!("{}__{table}", self.name), "count": 1 });
        let request = reqwest::Client::new()
            .post(format!("{}/faults", self.parts.redshift_admin))
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = request.send().await.expect("the admin port answers");
        assert!(answer.status().is_success(), "{:?}", answer.text().await);
    }

    /// Faults of this test that have not struck yet.
    ///
    /// # Panics
    /// When the stand-in does not answer.
    pub async fn faults_left(&self) -> usize {
        let url = format!("{}/", self.parts.redshift_admin);
        let text = reqwest::get(url)
            .await
            .expect("the admin port answers")
            .text()
            .await
            .expect("with a text");
        let answer: serde_json::Value = serde_json::from_str(&text).expect("in JSON");
        let faults = answer["faults"].as_array().expect("a list of faults");
        faults
            .iter()
            .filter(|fault| fault["table"].as_str().is_some_and(|table| table.contains(&self.name)))
            .count()
    }

    /// Waits until a query answers these rows.
    pub async fn equals(&self, redshift_url: &str, table: &str, sql: &str, expected: Vec<Row>) {
        let warehouse = Warehouse::connect(redshift_url).await;
        until(&format!("table `{table}` equals the truth"), async || {
            difference(&warehouse.rows(sql).await?, &expected)
        })
        .await;
    }
}

/// Whether the rows are those expected.
///
/// # Errors
/// With the first that differs.
pub fn difference(rows: &[Row], expected: &[Row]) -> Result<(), String> {
    if rows == expected {
        return Ok(());
    }
    let first = rows.iter().zip(expected).position(|(row, wanted)| row != wanted);
    let at = first.unwrap_or(rows.len().min(expected.len()));
    Err(format!(
        "{} rows of {}, the first that differs:\n  is     {:?}\n  should {:?}",
        rows.len(),
        expected.len(),
        rows.get(at),
        expected.get(at)
    ))
}

fn line(change: &Change, columns: &BTreeSet<String>) -> Vec<Option<String>> {
    let cell = |cells: &Cells, column: &String| cells.get(column).cloned().flatten();
    let mut row = vec![Some(change.partition.to_string()), Some(change.offset.to_string())];
    row.extend(columns.iter().map(|column| cell(&change.cells, column)));
    row
}

async fn delete(admin: &AdminClient<DefaultClientContext>, topic: &str) {
    let deleted = admin
        .delete_topics(&[topic], &AdminOptions::new())
        .await
        .expect("the broker answers");
    deleted[0].as_ref().expect("the topic is deleted");
}
