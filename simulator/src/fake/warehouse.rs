//! The warehouse: sessions that take the daemon's own SQL. SQLite runs the statements; around it stand the semantics that matter: a table
//! lock that waits, a snapshot that is taken at the first statement after BEGIN other than LOCK, a conflict of two writers as an error,
//! and sessions that outlive their client for a while, with their lock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime::port::{self, Answer, Session, SqlFailure};
use rusqlite::Connection;
use rusqlite::backup::Backup;
use rusqlite::config::DbConfig;
use tokio::sync::oneshot;

use super::dialect;
use crate::host::TARGETS;
use crate::schedule::{Fate, Point};
use crate::world::{Port, Reply, State};

/// How long a statement waits for a lock, milliseconds.
const STATEMENT_TIMEOUT_MS: u64 = 20_000;
/// How often a statement that waits looks again, milliseconds.
const LOOK_MS: u64 = 15;
/// How long a client waits on a connection that is cut, milliseconds.
const CUT_MS: u64 = 1_000;

/// A target table with its state tables: what transactions of this product ever touch together.
pub struct Group {
    /// Committed content.
    pub committed: Connection,
    version: u64,
    locked_by: Option<u64>,
    /// Widths that VARCHAR columns were given later, by table and column.
    widened: BTreeMap<(String, String), u32>,
}

struct Transaction {
    group: Option<&'static str>,
    snapshot: Option<(Connection, u64)>,
    wrote: bool,
    failed: bool,
}

struct Server {
    by: Arc<str>,
    transaction: Option<Transaction>,
    last_copy: u64,
    /// Something of it is still under way until then.
    busy_until: u64,
    /// How long the server takes to notice that the client is gone.
    linger_ms: u64,
}

/// What a backup has of a group.
struct Copy {
    content: Connection,
    widened: BTreeMap<(String, String), u32>,
}

/// The warehouse.
#[derive(Default)]
pub struct Warehouse {
    groups: BTreeMap<&'static str, Group>,
    sessions: BTreeMap<u64, Server>,
    opened: u64,
    /// Transactions that wrote and were committed.
    pub commits: u64,
    backup: Option<BTreeMap<&'static str, Copy>>,
}

/// The groups: names that their statements contain.
const GROUPS: [&str; 2] = ["keyed", "appended"];

fn open() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.execute_batch("PRAGMA journal_mode = OFF")?;
    Ok(connection)
}

fn cloned(from: &Connection) -> rusqlite::Result<Connection> {
    let mut to = open()?;
    Backup::new(from, &mut to)?.step(-1)?;
    Ok(to)
}

fn refused(code: &str, message: impl Into<String>) -> SqlFailure {
    SqlFailure {
        code: Some(code.to_owned()),
        message: message.into(),
        detail: None,
    }
}

fn cut() -> SqlFailure {
    SqlFailure {
        code: None,
        message: "connection closed".into(),
        detail: None,
    }
}

fn internal(error: &rusqlite::Error) -> SqlFailure {
    let message = error.to_string();
    if message.contains("no such table") {
        return refused("42P01", message);
    }
    refused("42601", message)
}

enum Ran {
    Done(Result<Answer, SqlFailure>),
    Waits,
}

impl Warehouse {
    /// A group, once something of it exists.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }

    /// Takes a backup of everything that is committed.
    pub fn back_up(&mut self) {
        let copies = self.groups.iter().map(|(name, group)| {
            let (content, widened) = (cloned(&group.committed)?, group.widened.clone());
            Ok((*name, Copy { content, widened }))
        });
        self.backup = copies.collect::<rusqlite::Result<_>>().ok();
    }

    /// What the backup has of a group.
    #[must_use]
    pub fn backup(&self, name: &str) -> Option<&Connection> {
        self.backup.as_ref()?.get(name).map(|copy| &copy.content)
    }

    /// Whether there is a backup.
    #[must_use]
    pub fn is_backed_up(&self) -> bool {
        self.backup.is_some()
    }

    /// Puts the backup in the place of what there is; all sessions are cut.
    pub fn restore(&mut self) {
        let Some(backup) = self.backup.take() else {
            return;
        };
        self.sessions.clear();
        let version = self.groups.values().map(|group| group.version).max().unwrap_or(0) + 1;
        let group = |(name, copy): (_, Copy)| {
            let group = Group {
                committed: copy.content,
                version,
                locked_by: None,
                widened: copy.widened,
            };
            (name, group)
        };
        self.groups = backup.into_iter().map(group).collect();
    }

    fn run(&mut self, session: u64, sql: &str, bucket: &super::bucket::Bucket) -> Ran {
        let Some(server) = self.sessions.get_mut(&session) else {
            return Ran::Done(Err(cut()));
        };
        match sql {
            "BEGIN" => {
                server.transaction = Some(Transaction {
                    group: None,
                    snapshot: None,
                    wrote: false,
                    failed: false,
                });
                return Ran::Done(Ok(Answer::default()));
            }
            "ROLLBACK" => {
                self.end(session);
                return Ran::Done(Ok(Answer::default()));
            }
            "COMMIT" => return Ran::Done(self.commit(session)),
            "SELECT 1" => return Ran::Done(Ok(Answer::default())),
            _ if sql.starts_with("CREATE SCHEMA") || sql.starts_with("SET ") => {
                return Ran::Done(Ok(Answer::default()));
            }
            _ => {}
        }
        if server
            .transaction
            .as_ref()
            .is_some_and(|transaction| transaction.failed)
        {
            return Ran::Done(Err(refused("25P02", "current transaction is aborted")));
        }
        let ran = self.statement(session, sql, bucket);
        if let (Ran::Done(Err(_)), Some(server)) = (&ran, self.sessions.get_mut(&session))
            && let Some(transaction) = &mut server.transaction
        {
            transaction.failed = true;
        }
        ran
    }

    fn statement(&mut self, session: u64, sql: &str, bucket: &super::bucket::Bucket) -> Ran {
        let Warehouse { groups, sessions, .. } = self;
        let Some(server) = sessions.get_mut(&session) else {
            return Ran::Done(Err(cut()));
        };
        let named = GROUPS.into_iter().find(|name| sql.contains(name));
        let known = server.transaction.as_ref().and_then(|transaction| transaction.group);
        let Some(name) = known.or(named) else {
            return Ran::Done(Ok(Answer::default()));
        };
        let group = match groups.entry(name) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => match open() {
                Ok(committed) => entry.insert(Group {
                    committed,
                    version: 0,
                    locked_by: None,
                    widened: BTreeMap::new(),
                }),
                Err(error) => return Ran::Done(Err(internal(&error))),
            },
        };
        let locked = group.locked_by.is_some_and(|by| by != session);
        let touches_lock = sql.contains("__state\"") || sql.starts_with("ALTER TABLE");
        if locked && touches_lock && !sql.starts_with("CREATE TABLE") {
            return Ran::Waits;
        }
        let Some(transaction) = &mut server.transaction else {
            return Ran::Done(group.alone(sql));
        };
        transaction.group = Some(name);
        if sql.starts_with("LOCK TABLE") {
            group.locked_by = Some(session);
            return Ran::Done(Ok(Answer::default()));
        }
        Ran::Done(group.within(transaction, &mut server.last_copy, sql, bucket))
    }

    fn commit(&mut self, session: u64) -> Result<Answer, SqlFailure> {
        let Some(server) = self.sessions.get_mut(&session) else {
            return Err(cut());
        };
        let transaction = server.transaction.take();
        let mut answer = Ok(Answer::default());
        if let Some(Transaction {
            group: Some(name),
            snapshot: Some((content, version)),
            wrote: true,
            failed: false,
        }) = transaction
            && let Some(group) = self.groups.get_mut(name)
        {
            if group.version == version {
                group.committed = content;
                group.version += 1;
                self.commits += 1;
            } else {
                answer = Err(refused("40001", "1023: Serializable isolation violation on table"));
            }
        }
        self.end(session);
        answer
    }

    /// Ends a session's transaction without effect and lets its lock go.
    fn end(&mut self, session: u64) {
        if let Some(server) = self.sessions.get_mut(&session) {
            server.transaction = None;
        }
        for group in self.groups.values_mut() {
            if group.locked_by == Some(session) {
                group.locked_by = None;
            }
        }
    }
}

impl Group {
    /// A statement outside a transaction.
    fn alone(&mut self, sql: &str) -> Result<Answer, SqlFailure> {
        if let Some(rest) = sql.strip_prefix("ALTER TABLE ")
            && let Some((table, rest)) = rest.split_once(" ALTER COLUMN ")
        {
            return self.widen(table, rest);
        }
        if let Some(answer) = self.catalog(&self.committed, sql) {
            return answer;
        }
        plain(&self.committed, sql)
    }

    fn within(
        &mut self,
        transaction: &mut Transaction,
        last_copy: &mut u64,
        sql: &str,
        bucket: &super::bucket::Bucket,
    ) -> Result<Answer, SqlFailure> {
        if transaction.snapshot.is_none() {
            let content = cloned(&self.committed).map_err(|error| internal(&error))?;
            transaction.snapshot = Some((content, self.version));
        }
        let Some((content, version)) = &transaction.snapshot else {
            return Err(cut());
        };
        if sql.starts_with("SELECT pg_last_copy_count()") {
            return Ok(Answer {
                rows: vec![vec![Some(last_copy.to_string())]],
                affected: 1,
            });
        }
        if let Some(answer) = self.catalog(content, sql) {
            return answer;
        }
        if let Some((made, of, create)) = dialect::like(content, sql) {
            self.widened.retain(|(table, _), _| *table != made);
            let own = self.widened.iter().filter(|((table, _), _)| *table == of);
            let same = own.map(|((_, column), width)| ((made.clone(), column.clone()), *width));
            let same: Vec<_> = same.collect();
            self.widened.extend(same);
            transaction.wrote = true;
            return plain(content, &create);
        }
        if sql.starts_with("COPY ") {
            let rows = dialect::copy(content, bucket, sql).map_err(|message| refused("XX000", message))?;
            *last_copy = rows;
            return Ok(Answer::default());
        }
        if !sql.starts_with("SELECT") {
            // The second of two writers is refused as soon as it writes.
            if *version != self.version {
                return Err(refused("40001", "1023: Serializable isolation violation on table"));
            }
            transaction.wrote = true;
        }
        plain(content, sql)
    }

    fn widen(&mut self, table: &str, rest: &str) -> Result<Answer, SqlFailure> {
        let table = table.replace("\".\"", ".").replace('"', "");
        let (column, ty) = rest
            .split_once(" TYPE ")
            .ok_or_else(|| refused("42601", "not understood"))?;
        let width = ty.trim_start_matches("VARCHAR(").trim_end_matches(')').parse();
        let width: u32 = width.map_err(|_| refused("42601", "not understood"))?;
        let known = self.widened.insert((table, column.replace('"', "")), width);
        if known == Some(width) {
            return Err(refused("0A000", "target column size should be different"));
        }
        Ok(Answer::default())
    }

    /// Answers a question to `svv_columns`.
    fn catalog(&self, content: &Connection, sql: &str) -> Option<Result<Answer, SqlFailure>> {
        let (_, wanted) = sql.split_once("FROM svv_columns")?;
        let mut names = wanted.split('\'').skip(1).step_by(2);
        let table = format!("{}.{}", names.next()?, names.next()?);
        let columns = dialect::catalog(content, &table).map_err(|error| internal(&error));
        Some(columns.map(|mut rows| {
            for row in &mut rows {
                let column = row[0].clone().unwrap_or_default();
                if let Some(width) = self.widened.get(&(table.clone(), column)) {
                    row[2] = Some(width.to_string());
                }
            }
            Answer {
                affected: rows.len() as u64,
                rows,
            }
        }))
    }
}

fn plain(content: &Connection, sql: &str) -> Result<Answer, SqlFailure> {
    let (rows, affected) = dialect::run(content, &dialect::translate(sql)).map_err(|error| internal(&error))?;
    Ok(Answer { rows, affected })
}

type Done = Box<dyn FnOnce(&mut State, Result<Answer, SqlFailure>) + Send>;

/// Runs a statement, as soon as the lock that it needs is free.
fn attempt(state: &mut State, target: &'static str, session: u64, sql: Arc<str>, until: u64, done: Done) {
    let State { warehouses, bucket, .. } = state;
    let warehouse = warehouses.entry(target).or_default();
    let commits = warehouse.commits;
    let group = warehouse
        .sessions
        .get(&session)
        .and_then(|server| server.transaction.as_ref()?.group);
    match warehouse.run(session, &sql, bucket) {
        Ran::Waits if state.now < until => {
            state.after(LOOK_MS, move |state| attempt(state, target, session, sql, until, done));
        }
        Ran::Waits => {
            warehouse.end(session);
            done(
                state,
                Err(refused("57014", "canceling statement due to statement timeout")),
            );
        }
        Ran::Done(answer) => {
            if warehouse.commits > commits
                && let Some(group) = group
            {
                let by = warehouse.sessions.get(&session).map(|server| server.by.clone());
                crate::judge::committed(state, target, group, by.as_deref().unwrap_or("somebody"));
            }
            if let Err(failure) = &answer {
                let statement = sql.lines().next().unwrap_or_default().to_owned();
                state.note(format_args!(
                    "warehouse {target} session {session} `{statement}`: {failure}"
                ));
            }
            done(state, answer);
        }
    }
}

struct Client {
    port: Port,
    session: u64,
    broken: bool,
}

#[async_trait]
impl Session for Client {
    async fn run(&mut self, sql: &str) -> Result<Answer, SqlFailure> {
        if self.broken {
            return Err(cut());
        }
        let point = if sql == "COMMIT" {
            Point::Commit
        } else {
            Point::Statement
        };
        let said = self.send(point, sql.into());
        match said.await {
            Ok(Some(answer)) => answer,
            Ok(None) | Err(_) => {
                self.broken = true;
                Err(cut())
            }
        }
    }
}

type Said = oneshot::Receiver<Option<Result<Answer, SqlFailure>>>;

impl Client {
    fn send(&self, point: Point, sql: Arc<str>) -> Said {
        let (say, said) = oneshot::channel();
        let mut state = self.port.world.state();
        let (there, back) = (state.way(), state.way());
        let (session, until) = (self.session, state.now + STATEMENT_TIMEOUT_MS);
        let target = self.port.target;
        let fate = state.fate(point);
        if let Some(fate) = fate {
            let statement = sql.lines().next().unwrap_or_default();
            let line = format!("{} session {session} `{statement}` meets {fate:?}", self.port.name);
            state.note(line);
        }
        let slow = if let Some(Fate::Slow(millis)) = fate {
            millis / 2
        } else {
            0
        };
        match fate {
            None | Some(Fate::Slow(_)) => {
                state.busy(target, session, there + slow);
                let done: Done = Box::new(move |state, answer| {
                    state.after(slow + back, move |_| drop(say.send(Some(answer))));
                });
                state.after(there + slow, move |state| {
                    attempt(state, target, session, sql, until, done)
                });
            }
            Some(Fate::Refused) => state.after(there + back, move |state| {
                state.warehouse(target).end(session);
                drop(say.send(Some(Err(refused("40001", "could not serialize access")))));
            }),
            Some(Fate::RequestLost) => state.after(CUT_MS, move |_| drop(say.send(None))),
            Some(Fate::AnswerLost) => {
                state.busy(target, session, there);
                state.after(there, move |state| {
                    attempt(state, target, session, sql, until, Box::new(|_, _| {}))
                });
                state.after(CUT_MS, move |_| drop(say.send(None)));
            }
            Some(Fate::Late(millis)) => {
                state.busy(target, session, CUT_MS + millis);
                let at = CUT_MS + millis;
                state.after(at, move |state| {
                    attempt(state, target, session, sql, until + at, Box::new(|_, _| {}))
                });
                state.after(CUT_MS, move |_| drop(say.send(None)));
            }
        }
        said
    }
}

impl State {
    /// The warehouse of a target.
    pub fn warehouse(&mut self, target: &'static str) -> &mut Warehouse {
        self.warehouses.entry(target).or_default()
    }

    /// The server works on something of this session so long.
    fn busy(&mut self, target: &'static str, session: u64, millis: u64) {
        let until = self.now + millis + 1;
        if let Some(server) = self.warehouse(target).sessions.get_mut(&session) {
            server.busy_until = server.busy_until.max(until);
        }
    }
}

/// The server notices that the client is gone, mostly soon, sometimes after many seconds; until then the session keeps its lock.
impl Drop for Client {
    fn drop(&mut self) {
        let mut state = self.port.world.state();
        let (target, session) = (self.port.target, self.session);
        let Some(server) = state.warehouse(target).sessions.get(&session) else {
            return;
        };
        let (linger_ms, busy_until) = (server.linger_ms, server.busy_until);
        let millis = (state.now + linger_ms).max(busy_until) - state.now;
        let rank = 2 * session + u64::from(target == TARGETS[1]);
        state.after_all(millis, rank, move |state| {
            state.warehouse(target).end(session);
            state.warehouse(target).sessions.remove(&session);
        });
    }
}

#[async_trait]
impl port::Warehouse for Port {
    async fn connect(&self) -> Result<Box<dyn Session>, SqlFailure> {
        let (by, target) = (self.name.clone(), self.target);
        let reply = self.send(Point::Connect, move |state| {
            state.warehouse(target).opened += 1;
            let session = state.warehouse(target).opened;
            let linger_ms = if state.delays.chance(75) {
                state.delays.between(20, 200)
            } else {
                state.delays.between(200, 8_000)
            };
            let server = Server {
                by,
                transaction: None,
                last_copy: 0,
                busy_until: 0,
                linger_ms,
            };
            state.warehouse(target).sessions.insert(session, server);
            session
        });
        match tokio::time::timeout(Duration::from_secs(30), reply).await {
            Ok(Reply::Answer(session)) => Ok(Box::new(Client {
                port: self.clone(),
                session,
                broken: false,
            })),
            Ok(Reply::Refused) => Err(refused("57P03", "the database system is starting up")),
            Ok(Reply::Silence) | Err(_) => Err(cut()),
        }
    }
}
