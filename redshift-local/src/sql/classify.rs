//! Decides what to do with one statement: pass it on, change it, run it here, or refuse it.

use super::alter_table::{self, Alteration};
use super::copy_statement::{self, CopyStatement};
use super::create_table;
use super::cursor::{Cursor, TableName};
use super::name;
use super::refusal::Refusal;
use super::rewrite::{Context, Rewritten, rewrite};
use super::token::{Kind, Token};

/// What to send to PostgreSQL for one statement of the client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// Statements before the visible one; their results stay hidden.
    pub before: Vec<String>,
    /// The statement whose result the client sees.
    pub main: String,
    /// Statements after it; hidden.
    pub after: Vec<String>,
    /// Shown instead of PostgreSQL's command tag; rows of `main` are then hidden.
    pub tag: Option<&'static str>,
}

impl Script {
    fn plain(main: String) -> Self {
        Self {
            main,
            ..Self::default()
        }
    }
}

/// What a statement is to the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this.
    Send(Script),
    /// Send this; it changes rows of a table, whose write lock comes first.
    Write(Script, TableName),
    /// BEGIN with its modes.
    Begin(String),
    /// COMMIT or END.
    Commit,
    /// ROLLBACK or ABORT.
    Rollback,
    /// Commits the running transaction as well.
    Truncate(Script, TableName),
    /// Refused inside a block.
    OutsideBlock(Script, &'static str),
    /// Done by the stand-in.
    Copy(Box<CopyStatement>),
    /// SET of a parameter that only Redshift knows; the name and the value, none for RESET.
    SetParameter(String, Option<String>),
    /// SHOW of such a parameter.
    ShowParameter(String),
}

/// One statement, decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What to do.
    pub action: Action,
    /// Names over 63 bytes that it mentions.
    pub long_names: Vec<String>,
}

impl From<Action> for Plan {
    fn from(action: Action) -> Self {
        Self {
            action,
            long_names: Vec::new(),
        }
    }
}

/// Parameters that Redshift has and PostgreSQL has not, with their defaults.
pub const PARAMETERS: &[(&str, &str)] = &[
    ("enable_case_sensitive_identifier", "off"),
    ("json_parse_truncate_strings", "off"),
    ("json_parse_dedup_attributes", "off"),
    ("json_serialization_enable", "off"),
    ("query_group", "unset"),
    ("wlm_query_slot_count", "1"),
    ("error_on_nondeterministic_update", "off"),
    ("enable_result_cache_for_session", "on"),
    ("interval_forbid_composite_literals", "off"),
    ("max_cursor_result_set_size", "default"),
    ("mv_enable_aqmv_for_session", "on"),
    ("describe_field_name_in_uppercase", "off"),
    ("analyze_threshold_percent", "10"),
];

/// Parameters that both have with the same meaning.
const SHARED_PARAMETERS: &[&str] = &[
    "search_path",
    "statement_timeout",
    "timezone",
    "datestyle",
    "client_encoding",
    "application_name",
    "extra_float_digits",
    "idle_in_transaction_session_timeout",
];

/// Decides on one statement.
///
/// # Errors
/// What Redshift refuses and what is not emulated.
pub fn classify(sql: &str, tokens: &[Token], context: Context) -> Result<Plan, Refusal> {
    let mut cursor = Cursor::new(sql, tokens, context.keep_case);
    let first = tokens
        .first()
        .filter(|token| token.kind == Kind::Word)
        .map(|token| token.text(sql).to_ascii_lowercase());
    let Some(first) = first else {
        let bracketed = cursor.peek(0).is_some_and(|token| token.is_sign(sql, '('));
        return if bracketed {
            query(sql, tokens, context)
        } else {
            Err(Refusal::syntax(cursor.near()))
        };
    };
    match first.as_str() {
        "select" => query(sql, tokens, context),
        "with" | "insert" | "update" | "delete" => change(sql, tokens, context),
        "explain" | "fetch" | "close" | "declare" | "grant" | "revoke" | "comment" | "deallocate" | "prepare"
        | "execute" => other(&first, &mut cursor, context),
        "begin" | "start" => begin(&mut cursor),
        "commit" | "end" | "rollback" | "abort" => finish(&first, &mut cursor),
        "lock" => lock(&mut cursor),
        "truncate" => truncate(&mut cursor),
        "copy" => {
            cursor.skip();
            Ok(Action::Copy(Box::new(copy_statement::parse(&mut cursor)?)).into())
        }
        "create" => create(&mut cursor, context),
        "alter" => alter(&mut cursor, context),
        "drop" => drop(&mut cursor, context),
        "set" | "reset" | "show" => parameter(&first, &mut cursor, context),
        "vacuum" | "analyze" | "analyse" => maintain(&first, &mut cursor),
        "savepoint" | "release" | "discard" | "listen" | "notify" | "unlisten" | "cluster" | "checkpoint"
        | "reindex" | "load" => Err(Refusal::unsupported(format!(
            "SQL command \"{}\" not supported on Redshift tables.",
            first.to_uppercase()
        ))),
        "merge" | "unload" | "call" | "refresh" | "cancel" | "use" | "desc" | "describe" => {
            Err(Refusal::not_emulated(first.to_uppercase()))
        }
        _ => Err(Refusal::syntax(cursor.near())),
    }
}

fn send(rewritten: Rewritten) -> Plan {
    Plan {
        action: Action::Send(Script::plain(rewritten.sql)),
        long_names: rewritten.long_names,
    }
}

fn query(sql: &str, tokens: &[Token], context: Context) -> Result<Plan, Refusal> {
    let depth_zero = top_level(sql, tokens);
    for pair in depth_zero.windows(2) {
        if pair[0].is(sql, "for") && (pair[1].is(sql, "update") || pair[1].is(sql, "share")) {
            return Err(Refusal::unsupported("SELECT FOR UPDATE is not supported"));
        }
    }
    if depth_zero.iter().any(|token| token.is(sql, "into")) {
        return Err(Refusal::not_emulated("SELECT INTO"));
    }
    if tokens.get(1).is_some_and(|token| token.is(sql, "top")) {
        return Err(Refusal::not_emulated("SELECT TOP"));
    }
    Ok(send(rewrite(sql, tokens, context)?))
}

/// The tokens outside of all brackets.
fn top_level<'a>(sql: &str, tokens: &'a [Token]) -> Vec<&'a Token> {
    let mut depth = 0;
    tokens
        .iter()
        .filter(|token| {
            if token.is_sign(sql, '(') {
                depth += 1;
            } else if token.is_sign(sql, ')') {
                depth -= 1;
            }
            depth == 0
        })
        .collect()
}

/// INSERT, UPDATE, DELETE, or WITH in front of one of them or of SELECT.
fn change(sql: &str, tokens: &[Token], context: Context) -> Result<Plan, Refusal> {
    let outer = top_level(sql, tokens);
    let verb_at = outer.iter().position(|token| {
        ["select", "insert", "update", "delete"]
            .iter()
            .any(|verb| token.is(sql, verb))
    });
    let verb = verb_at.map(|at| outer[at]).ok_or_else(|| Refusal::syntax(""))?;
    if verb.is(sql, "select") {
        return query(sql, tokens, context);
    }
    if let Some(refused) = outer.iter().find(|token| token.is(sql, "returning")) {
        return Err(Refusal::syntax(refused.text(sql)));
    }
    if outer
        .windows(2)
        .any(|pair| pair[0].is(sql, "on") && pair[1].is(sql, "conflict"))
    {
        return Err(Refusal::syntax("CONFLICT"));
    }
    if let Some(inner) = data_changing_cte(sql, tokens, &outer) {
        return Err(Refusal::syntax(inner.text(sql)));
    }
    let start = tokens.iter().position(|token| token == verb).unwrap_or(0);
    let mut cursor = Cursor::new(sql, &tokens[start + 1..], context.keep_case);
    if verb.is(sql, "insert") && !cursor.take(&["into"]) {
        return Err(Refusal::syntax(cursor.near()));
    }
    if verb.is(sql, "delete") {
        // FROM is optional in Redshift and required in PostgreSQL.
        if !cursor.take(&["from"]) {
            return Err(Refusal::not_emulated("DELETE without FROM"));
        }
    }
    if cursor.sees(&["only"]) {
        return Err(Refusal::syntax("ONLY"));
    }
    let table = cursor.table()?;
    let rewritten = rewrite(sql, tokens, context)?;
    Ok(Plan {
        action: Action::Write(Script::plain(rewritten.sql), table),
        long_names: rewritten.long_names,
    })
}

/// PostgreSQL lets a WITH query change rows; Redshift does not.
fn data_changing_cte<'a>(sql: &str, tokens: &'a [Token], outer: &[&Token]) -> Option<&'a Token> {
    tokens
        .windows(2)
        .find(|pair| {
            pair[0].is_sign(sql, '(')
                && ["insert", "update", "delete"].iter().any(|verb| pair[1].is(sql, verb))
                && !outer.contains(&&pair[1])
        })
        .map(|pair| &pair[1])
}

fn other(first: &str, cursor: &mut Cursor<'_>, context: Context) -> Result<Plan, Refusal> {
    let tokens = cursor.rest();
    cursor.skip();
    match first {
        "explain" => {
            let verbose = cursor.take(&["verbose"]);
            if cursor.sees(&["analyze"]) || cursor.peek(0).is_some_and(|token| token.is_sign(cursor.sql, '(')) {
                return Err(Refusal::not_emulated("EXPLAIN with options"));
            }
            let inner = classify(cursor.sql, cursor.rest(), context)?;
            match inner.action {
                Action::Send(script) | Action::Write(script, _)
                    if script.before.is_empty() && script.after.is_empty() =>
                {
                    let verbose = if verbose { "VERBOSE " } else { "" };
                    Ok(Plan {
                        action: Action::Send(Script::plain(format!("EXPLAIN {verbose}{}", script.main))),
                        long_names: inner.long_names,
                    })
                }
                _ => Err(Refusal::not_emulated("EXPLAIN of this statement")),
            }
        }
        "deallocate" if cursor.sees(&["all"]) => Err(Refusal::not_emulated("DEALLOCATE ALL")),
        "prepare" | "execute" => Err(Refusal::not_emulated(first.to_uppercase())),
        _ => Ok(send(rewrite(cursor.sql, tokens, context)?)),
    }
}

fn begin(cursor: &mut Cursor<'_>) -> Result<Plan, Refusal> {
    let start = cursor.take(&["start"]);
    if start && !cursor.take(&["transaction"]) {
        return Err(Refusal::syntax(cursor.near()));
    }
    if !start {
        cursor.skip();
        let _ = cursor.take(&["transaction"]) || cursor.take(&["work"]);
    }
    let mut sql = "BEGIN".to_owned();
    while !cursor.done() {
        // ISOLATION LEVEL is accepted and has no effect (redshift.md 4.2).
        if cursor.take(&["isolation", "level"]) {
            let known = [
                &["serializable"][..],
                &["snapshot"],
                &["repeatable", "read"],
                &["read", "committed"],
                &["read", "uncommitted"],
            ];
            if !known.iter().any(|words| cursor.take(words)) {
                return Err(Refusal::syntax(cursor.near()));
            }
        } else if cursor.take(&["read", "only"]) {
            sql.push_str(" READ ONLY");
        } else if cursor.take(&["read", "write"]) {
            sql.push_str(" READ WRITE");
        } else if !cursor.take_sign(',') {
            return Err(Refusal::syntax(cursor.near()));
        }
    }
    Ok(Action::Begin(sql).into())
}

fn finish(first: &str, cursor: &mut Cursor<'_>) -> Result<Plan, Refusal> {
    cursor.skip();
    let _ = cursor.take(&["work"]) || cursor.take(&["transaction"]);
    if cursor.sees(&["to"]) {
        return Err(Refusal::unsupported(
            "SQL command \"ROLLBACK TO SAVEPOINT\" not supported on Redshift tables.",
        ));
    }
    cursor.expect_end()?;
    Ok(if matches!(first, "commit" | "end") {
        Action::Commit
    } else {
        Action::Rollback
    }
    .into())
}

fn tables(cursor: &mut Cursor<'_>) -> Result<Vec<TableName>, Refusal> {
    let mut tables = vec![cursor.table()?];
    while cursor.take_sign(',') {
        tables.push(cursor.table()?);
    }
    Ok(tables)
}

fn long_names<'a>(tables: impl IntoIterator<Item = &'a TableName>) -> Vec<String> {
    let parts = tables
        .into_iter()
        .flat_map(|table| table.schema.iter().chain([&table.name]));
    parts
        .filter(|part| part.len() > name::STORED_BYTES_MAX)
        .cloned()
        .collect()
}

fn lock(cursor: &mut Cursor<'_>) -> Result<Plan, Refusal> {
    cursor.skip();
    cursor.take(&["table"]);
    let tables = tables(cursor)?;
    // Redshift's LOCK has one mode and no way to name it.
    cursor.expect_end()?;
    let list: Vec<_> = tables.iter().map(TableName::stored).collect();
    let script = Script::plain(format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", list.join(", ")));
    Ok(Plan {
        action: Action::Send(script),
        long_names: long_names(&tables),
    })
}

fn truncate(cursor: &mut Cursor<'_>) -> Result<Plan, Refusal> {
    cursor.skip();
    cursor.take(&["table"]);
    let table = cursor.table()?;
    cursor.expect_end()?;
    let names = long_names([&table]);
    Ok(Plan {
        action: Action::Truncate(Script::plain(format!("TRUNCATE TABLE {}", table.stored())), table),
        long_names: names,
    })
}

fn create(cursor: &mut Cursor<'_>, context: Context) -> Result<Plan, Refusal> {
    let tokens = cursor.rest();
    cursor.skip();
    let word = cursor.near().to_ascii_lowercase();
    match word.as_str() {
        "table" | "temp" | "temporary" | "local" => {
            if cursor.sees(&["temp", "view"]) || cursor.sees(&["temporary", "view"]) {
                return Err(Refusal::syntax("view"));
            }
            let create = create_table::parse(cursor, context)?;
            let mut script = Script::plain(create.sql.clone());
            script.after.extend(note_statement(&create));
            if create.is_select {
                script.after.push(format!(
                    "SELECT redshift_local.retype_columns({}::regclass)",
                    name::literal(&create.stored)
                ));
            }
            Ok(Plan {
                action: Action::Send(script),
                long_names: create.long_names,
            })
        }
        "schema" | "view" | "or" => {
            if tokens.windows(3).any(|words| {
                words[0].is(cursor.sql, "no") && words[1].is(cursor.sql, "schema") && words[2].is(cursor.sql, "binding")
            }) {
                return Err(Refusal::not_emulated("views WITH NO SCHEMA BINDING"));
            }
            if word == "or" && !cursor.sees(&["or", "replace", "view"]) {
                return Err(Refusal::not_emulated("CREATE OR REPLACE of anything but a view"));
            }
            if word == "schema" && tokens.iter().any(|token| token.is(cursor.sql, "quota")) {
                return Err(Refusal::not_emulated("CREATE SCHEMA QUOTA"));
            }
            Ok(send(rewrite(cursor.sql, tokens, context)?))
        }
        "index" | "unique" | "sequence" | "type" | "domain" | "trigger" | "rule" | "extension" | "operator"
        | "aggregate" | "tablespace" | "cast" | "collation" | "unlogged" => Err(Refusal::unsupported(format!(
            "SQL command \"CREATE {}\" not supported on Redshift tables.",
            word.to_uppercase()
        ))),
        _ => Err(Refusal::not_emulated(format!("CREATE {}", word.to_uppercase()))),
    }
}

/// Keeps what PostgreSQL is not told: keys, encodings, distribution.
fn note_statement(create: &create_table::CreateTable) -> Option<String> {
    if create.notes.is_empty() {
        return None;
    }
    let rows: Vec<_> = create
        .notes
        .iter()
        .map(|note| {
            format!(
                "({}::regclass, {}, {}, {}, {}, {})",
                name::literal(&create.stored),
                name::literal(&name::stored(&note.column)),
                note.is_key,
                name::literal(&note.encoding),
                note.distkey,
                note.sortkey
            )
        })
        .collect();
    Some(format!(
        "INSERT INTO redshift_local.column_note VALUES {} ON CONFLICT DO NOTHING",
        rows.join(", ")
    ))
}

fn alter(cursor: &mut Cursor<'_>, context: Context) -> Result<Plan, Refusal> {
    cursor.skip();
    if !cursor.take(&["table"]) {
        return Err(Refusal::not_emulated(format!("ALTER {}", cursor.near().to_uppercase())));
    }
    let alter = alter_table::parse(cursor, context)?;
    let stored = alter.table.stored();
    let mut long_names = long_names([&alter.table]);
    long_names.extend(alter.long_names);
    let lock = format!("LOCK TABLE {stored} IN ACCESS EXCLUSIVE MODE");
    let action = match alter.alteration {
        Alteration::Plain { sql } => Action::Send(Script::plain(sql)),
        Alteration::Keys { columns } => {
            let rows: Vec<_> = columns
                .iter()
                .map(|column| {
                    format!(
                        "({}::regclass, {}, true)",
                        name::literal(&stored),
                        name::literal(&name::stored(column))
                    )
                })
                .collect();
            let main = format!(
                "INSERT INTO redshift_local.column_note (relid, column_name, is_key) VALUES {} ON CONFLICT (relid, column_name) DO UPDATE SET is_key = true",
                rows.join(", ")
            );
            Action::Send(Script {
                before: vec![lock],
                main,
                after: Vec::new(),
                tag: Some("ALTER TABLE"),
            })
        }
        Alteration::VarcharLength { column, bytes_max } => {
            let main = format!(
                "SELECT redshift_local.alter_varchar({}::regclass, {}, {bytes_max})",
                name::literal(&stored),
                name::literal(&name::stored(&column))
            );
            let script = Script {
                before: vec![lock],
                main,
                after: Vec::new(),
                tag: Some("ALTER TABLE"),
            };
            Action::OutsideBlock(script, "ALTER TABLE ALTER COLUMN")
        }
    };
    Ok(Plan { action, long_names })
}

fn drop(cursor: &mut Cursor<'_>, context: Context) -> Result<Plan, Refusal> {
    let tokens = cursor.rest();
    cursor.skip();
    match cursor.near().to_ascii_lowercase().as_str() {
        "table" | "view" | "schema" => Ok(send(rewrite(cursor.sql, tokens, context)?)),
        what @ ("index" | "sequence" | "type" | "domain" | "trigger" | "rule" | "extension") => {
            Err(Refusal::unsupported(format!(
                "SQL command \"DROP {}\" not supported on Redshift tables.",
                what.to_uppercase()
            )))
        }
        what => Err(Refusal::not_emulated(format!("DROP {}", what.to_uppercase()))),
    }
}

fn parameter(first: &str, cursor: &mut Cursor<'_>, context: Context) -> Result<Plan, Refusal> {
    let tokens = cursor.rest();
    cursor.skip();
    if first != "show" {
        let _ = cursor.take(&["session"]);
    }
    if cursor.sees(&["local"])
        || cursor.sees(&["transaction"])
        || cursor.sees(&["characteristics"])
        || cursor.sees(&["authorization"])
    {
        return Err(Refusal::not_emulated(format!("SET {}", cursor.near().to_uppercase())));
    }
    let mut name = if cursor.take(&["time", "zone"]) {
        "timezone".to_owned()
    } else {
        cursor.identifier()?
    };
    while cursor.take_sign('.') {
        name = format!("{name}.{}", cursor.identifier()?);
    }
    if name == "all" || name.contains('.') {
        return Err(Refusal::not_emulated(format!("{} {name}", first.to_uppercase())));
    }
    if !PARAMETERS.iter().any(|(known, _)| *known == name) {
        let is_shared = SHARED_PARAMETERS.contains(&name.as_str()) || (first == "show" && name == "server_version");
        if is_shared {
            return Ok(send(rewrite(cursor.sql, tokens, context)?));
        }
        return Err(Refusal::not_emulated(format!("parameter {name}")));
    }
    match first {
        "show" => Ok(Action::ShowParameter(name).into()),
        "reset" => Ok(Action::SetParameter(name, None).into()),
        _ => {
            if !cursor.take(&["to"]) {
                cursor.expect_sign('=')?;
            }
            let value = match cursor.peek(0).map(|token| token.kind) {
                Some(Kind::Literal) => cursor.literal()?,
                Some(Kind::Number) => cursor.number()?.to_string(),
                _ => cursor.identifier()?,
            };
            cursor.expect_end()?;
            Ok(Action::SetParameter(name, Some(value)).into())
        }
    }
}

/// VACUUM and ANALYZE: what they would change in Redshift is invisible here, so PostgreSQL's own do.
fn maintain(first: &str, cursor: &mut Cursor<'_>) -> Result<Plan, Refusal> {
    cursor.skip();
    if first == "vacuum" {
        let modes = [
            &["full"][..],
            &["sort", "only"],
            &["delete", "only"],
            &["reindex"],
            &["recluster"],
        ];
        let _ = modes.iter().any(|mode| cursor.take(mode));
        let target = if cursor.done() {
            String::new()
        } else {
            format!(" {}", cursor.table()?.stored())
        };
        if cursor.take(&["to"]) {
            cursor.number()?;
            if !cursor.take(&["percent"]) {
                return Err(Refusal::syntax(cursor.near()));
            }
        }
        cursor.take(&["boost"]);
        cursor.expect_end()?;
        return Ok(Action::OutsideBlock(Script::plain(format!("VACUUM{target}")), "VACUUM").into());
    }
    cursor.take(&["verbose"]);
    if cursor.sees(&["compression"]) {
        return Err(Refusal::not_emulated("ANALYZE COMPRESSION"));
    }
    let mut sql = "ANALYZE".to_owned();
    if !cursor.done() {
        sql = format!("{sql} {}", cursor.table()?.stored());
    }
    if cursor.peek(0).is_some_and(|token| token.is_sign(cursor.sql, '(')) {
        create_table::columns(cursor)?;
    }
    let _ = cursor.take(&["predicate", "columns"]) || cursor.take(&["all", "columns"]);
    cursor.expect_end()?;
    Ok(Action::Send(Script::plain(sql)).into())
}

#[cfg(test)]
mod tests {
    use super::super::token::tokenize;
    use super::*;

    fn run(sql: &str) -> Result<Action, Refusal> {
        classify(sql, &tokenize(sql).unwrap(), Context::default()).map(|plan| plan.action)
    }

    #[test]
    fn finds_the_written_table() {
        for sql in [
            "INSERT INTO S.\"T\" (a) VALUES (1)",
            "UPDATE s.t SET a = 1",
            "DELETE FROM s.t USING x WHERE s.t.a = x.a",
            "WITH q AS (SELECT 1) DELETE FROM s.t",
            "WITH q AS (SELECT 1 AS a), r AS (SELECT 2) INSERT INTO s.t SELECT a FROM q",
        ] {
            match run(sql) {
                Ok(Action::Write(_, table)) => assert_eq!(table.to_string(), "s.t", "{sql}"),
                other => panic!("{sql}: {other:?}"),
            }
        }
    }

    #[test]
    fn transactions() {
        assert_eq!(
            run("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY"),
            Ok(Action::Begin("BEGIN READ ONLY".to_owned()))
        );
        assert_eq!(run("start transaction"), Ok(Action::Begin("BEGIN".to_owned())));
        assert_eq!(run("END"), Ok(Action::Commit));
        assert_eq!(run("abort"), Ok(Action::Rollback));
    }

    #[test]
    fn refuses_with_redshifts_codes() {
        for (sql, code) in [
            ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", "42601"),
            ("DELETE FROM t RETURNING a", "42601"),
            ("WITH x AS (DELETE FROM t) INSERT INTO u SELECT 1", "42601"),
            ("SAVEPOINT a", "0A000"),
            ("ROLLBACK TO a", "0A000"),
            ("CREATE INDEX i ON t (a)", "0A000"),
            ("CREATE UNIQUE INDEX i ON t (a)", "0A000"),
            ("CREATE SEQUENCE s", "0A000"),
            ("CREATE TYPE x AS (a int)", "0A000"),
            ("DISCARD ALL", "0A000"),
            ("MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE", "0A000"),
            ("SELECT a FROM t FOR UPDATE", "0A000"),
            ("LOCK t IN SHARE MODE", "42601"),
            ("VALUES (1)", "42601"),
            ("SET nonsense = 1", "0A000"),
            ("DO 'x'", "42601"),
        ] {
            assert_eq!(run(sql).unwrap_err().code, code, "{sql}");
        }
    }
}
