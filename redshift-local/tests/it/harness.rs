//! A PostgreSQL for the whole binary, a fresh database, bucket and stand-in for each test.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation};
use redshift_local::config::parse_postgres;
use redshift_local::{Addresses, Config, Server};
use tokio_postgres::{AsyncMessage, NoTls, SimpleQueryMessage};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Where Debian puts PostgreSQL 15's programs.
const POSTGRES_BIN: &str = "/usr/lib/postgresql/15/bin";
/// How long anything that is waited for may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Address of a PostgreSQL without the database: one that is given, or one started here.
pub(crate) fn postgres() -> &'static str {
    static POSTGRES: OnceLock<(String, Option<Child>)> = OnceLock::new();
    &POSTGRES
        .get_or_init(|| match std::env::var("SPOLT_POSTGRES_URL") {
            Ok(url) => (server_of(&url).to_owned(), None),
            Err(_) => start_postgres(),
        })
        .0
}

/// The URL without its database: each test makes one of its own.
fn server_of(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |slash| &url[..host + slash])
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout == b"0\n")
}

/// PostgreSQL's programs refuse root, so root runs them as the user postgres.
fn program(name: &str) -> Command {
    let path = format!("{POSTGRES_BIN}/{name}");
    if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", &path]);
        command
    } else {
        Command::new(path)
    }
}

fn succeed(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; hint: install postgresql 15 or set SPOLT_POSTGRES_URL"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn start_postgres() -> (String, Option<Child>) {
    let folder = tempfile::Builder::new()
        .prefix("redshift-local-postgres-")
        .tempdir()
        .unwrap()
        .keep();
    if is_root() {
        succeed(Command::new("chown").arg("postgres").arg(&folder));
    }
    let data = folder.join("data");
    succeed(
        program("initdb")
            .args([
                "-A",
                "trust",
                "-U",
                "postgres",
                "--locale=C",
                "--encoding=UTF8",
                "--no-sync",
                "-D",
            ])
            .arg(&data),
    );
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let options = format!(
        "-p {port} -k {} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=300",
        folder.display()
    );
    succeed(
        program("pg_ctl")
            .args(["-w", "-D"])
            .arg(&data)
            .args(["-o", &options, "-l"])
            .arg(folder.join("log"))
            .arg("start"),
    );
    let keeper = stop_at_exit(&folder, &data);
    (format!("postgresql://postgres@127.0.0.1:{port}"), Some(keeper))
}

/// A shell that waits for this process to end, however it ends, and then stops PostgreSQL and removes its folder.
fn stop_at_exit(folder: &Path, data: &Path) -> Child {
    let stop = program("pg_ctl");
    let stop: Vec<_> = std::iter::once(stop.get_program())
        .chain(stop.get_args())
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    let script = format!(
        "cat >/dev/null; {} -D {} -m immediate stop; rm -rf {}",
        stop.join(" "),
        data.display(),
        folder.display()
    );
    Command::new("setsid")
        .args(["sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// One stand-in with its database and bucket.
pub(crate) struct Stand {
    pub(crate) addresses: Addresses,
    pub(crate) database: String,
    pub(crate) bucket: String,
    pub(crate) postgres: String,
    s3: aws_sdk_s3::Client,
    _stop: DropGuard,
}

fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "{prefix}{}n{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

impl Stand {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let database = unique("t");
        let admin = Db::open(&format!("{}/postgres", postgres())).await;
        // Locks of template1 collide when tests start at once; template0 is never connected to.
        admin
            .ok(&format!("CREATE DATABASE {database} TEMPLATE template0"))
            .await;
        let endpoint = match std::env::var("SPOLT_S3_ENDPOINT") {
            Ok(endpoint) => endpoint,
            Err(_) => super::s3::serve().await,
        };
        let postgres = format!("{}/{database}", postgres());
        let any = "127.0.0.1:0".parse().unwrap();
        let mut config = Config {
            postgres: parse_postgres(&postgres).unwrap(),
            s3_endpoint: Some(endpoint.clone()),
            s3_region: "us-east-1".to_owned(),
            listen: any,
            admin: any,
            database: database.clone(),
            user: None,
            password: None,
            addresses_file: None,
        };
        change(&mut config);
        let server = Server::bind(config).await.unwrap();
        let (addresses, shutdown) = (server.addresses, CancellationToken::new());
        let stop = shutdown.clone().drop_guard();
        tokio::spawn(server.serve(shutdown));
        let s3 = aws_sdk_s3::Client::from_conf(
            aws_sdk_s3::config::Builder::new()
                .behavior_version(BehaviorVersion::latest())
                .endpoint_url(endpoint)
                .force_path_style(true)
                .region(Region::new("us-east-1"))
                .credentials_provider(Credentials::new("test", "test", None, None, "test"))
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .build(),
        );
        let bucket = unique("b");
        s3.create_bucket().bucket(&bucket).send().await.unwrap();
        Self {
            addresses,
            database,
            bucket,
            postgres,
            s3,
            _stop: stop,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("postgresql://loader@{}/{}", self.addresses.listen, self.database)
    }

    /// A client of the stand-in.
    pub(crate) async fn connect(&self) -> Db {
        Db::open(&self.url()).await
    }

    /// A client of the PostgreSQL behind.
    pub(crate) async fn behind(&self) -> Db {
        Db::open(&self.postgres).await
    }

    pub(crate) async fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        self.s3
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .body(bytes.into().into())
            .send()
            .await
            .unwrap();
    }

    /// Writes a manifest of mandatory entries.
    pub(crate) async fn manifest(&self, key: &str, files: &[&str]) {
        let entries: Vec<_> = files
            .iter()
            .map(|file| serde_json::json!({"url": format!("s3://{}/{file}", self.bucket), "mandatory": true}))
            .collect();
        self.put(key, serde_json::json!({ "entries": entries }).to_string())
            .await;
    }

    /// COPY of one object as CSV, with more options.
    pub(crate) fn copy(&self, table: &str, key: &str, options: &str) -> String {
        format!(
            "COPY {table} FROM 's3://{}/{key}' IAM_ROLE 'arn:aws:iam::123456789012:role/load' FORMAT AS CSV {options}",
            self.bucket
        )
    }

    pub(crate) async fn fault(&self, fault: serde_json::Value) {
        let answer = reqwest::Client::new()
            .post(format!("http://{}/faults", self.addresses.admin))
            .json(&fault)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    }

    pub(crate) async fn admin(&self, path: &str) -> serde_json::Value {
        reqwest::get(format!("http://{}{path}", self.addresses.admin))
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }
}

/// SQLSTATE and message of an error; the code is empty when the connection broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
}

/// A connection that speaks the simple protocol.
pub(crate) struct Db {
    pub(crate) client: tokio_postgres::Client,
    notices: Arc<Mutex<Vec<String>>>,
    connection: tokio::task::AbortHandle,
}

impl Db {
    pub(crate) async fn open(url: &str) -> Self {
        Self::try_open(url)
            .await
            .unwrap_or_else(|error| panic!("{url}: {error:?}"))
    }

    pub(crate) async fn try_open(url: &str) -> Result<Self, tokio_postgres::Error> {
        let (client, mut connection) = tokio_postgres::connect(url, NoTls).await?;
        let notices = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&notices);
        let connection = tokio::spawn(async move {
            let mut messages = futures::stream::poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = futures::StreamExt::next(&mut messages).await {
                if let AsyncMessage::Notice(notice) = message {
                    heard
                        .lock()
                        .unwrap()
                        .push(format!("{}: {}", notice.severity(), notice.message()));
                }
            }
        })
        .abort_handle();
        Ok(Self {
            client,
            notices,
            connection,
        })
    }

    /// Closes the socket by this handle as a dying process would, even in the middle of a statement.
    pub(crate) fn lifeline(&self) -> tokio::task::AbortHandle {
        self.connection.clone()
    }

    /// Notices so far.
    pub(crate) fn notices(&self) -> Vec<String> {
        std::mem::take(&mut self.notices.lock().unwrap())
    }

    async fn messages(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, Refused> {
        self.client
            .simple_query(sql)
            .await
            .map_err(|error| match error.as_db_error() {
                Some(db) => Refused {
                    code: db.code().code().to_owned(),
                    message: db.message().to_owned(),
                    detail: db.detail().map(str::to_owned),
                },
                None => Refused {
                    code: String::new(),
                    message: error.to_string(),
                    detail: None,
                },
            })
    }

    /// Rows changed, as the last command tag says.
    pub(crate) async fn run(&self, sql: &str) -> Result<u64, Refused> {
        let messages = self.messages(sql).await?;
        Ok(messages
            .iter()
            .filter_map(|message| {
                if let SimpleQueryMessage::CommandComplete(count) = message {
                    Some(*count)
                } else {
                    None
                }
            })
            .next_back()
            .unwrap_or(0))
    }

    #[track_caller]
    pub(crate) fn ok<'a>(&'a self, sql: &'a str) -> impl Future<Output = u64> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            self.run(sql)
                .await
                .unwrap_or_else(|refused| panic!("{caller}: {sql}: {refused:?}"))
        }
    }

    /// The code of the error that a statement gives.
    #[track_caller]
    pub(crate) fn err<'a>(&'a self, sql: &'a str) -> impl Future<Output = Refused> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            match self.run(sql).await {
                Err(refused) => refused,
                Ok(_) => panic!("{caller}: {sql}: succeeded"),
            }
        }
    }

    /// All values as text; NULL shows as `∅`.
    #[track_caller]
    pub(crate) fn rows<'a>(&'a self, sql: &'a str) -> impl Future<Output = Vec<Vec<String>>> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let messages = self
                .messages(sql)
                .await
                .unwrap_or_else(|refused| panic!("{caller}: {sql}: {refused:?}"));
            messages
                .iter()
                .filter_map(|message| {
                    if let SimpleQueryMessage::Row(row) = message {
                        Some((0..row.len()).map(|i| row.get(i).unwrap_or("∅").to_owned()).collect())
                    } else {
                        None
                    }
                })
                .collect()
        }
    }

    /// The only value of the only row.
    #[track_caller]
    pub(crate) fn one<'a>(&'a self, sql: &'a str) -> impl Future<Output = String> + 'a {
        let caller = std::panic::Location::caller();
        let rows = self.rows(sql);
        async move {
            let rows = rows.await;
            assert!(rows.len() == 1 && rows[0].len() == 1, "{caller}: {rows:?}");
            rows[0][0].clone()
        }
    }
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn eventually<F: Future<Output = bool>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + PATIENCE;
        while !condition().await {
            assert!(Instant::now() < deadline, "{caller}: not within {PATIENCE:?}: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}
