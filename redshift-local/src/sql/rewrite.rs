//! What is changed in every statement before PostgreSQL sees it: identifiers, type names of casts, and the few words and functions that
//! the two spell differently. Everything else passes unchanged.

use super::cursor::Cursor;
use super::name;
use super::refusal::Refusal;
use super::token::{Kind, Token, quoted_value};
use super::types::{self, Place};

/// What a session knows that a rewrite needs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context {
    /// `enable_case_sensitive_identifier`.
    pub keep_case: bool,
    /// Rows of the session's last COPY.
    pub last_copy_count: i64,
    /// Query id of the session's last COPY, -1 when there was none.
    pub last_copy_id: i64,
}

/// The rewritten text and the long names met in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// Text for PostgreSQL.
    pub sql: String,
    /// Names over 63 bytes, as the client wrote them.
    pub long_names: Vec<String>,
}

/// Functions that PostgreSQL has and Redshift has not: passing them on would let a test succeed that fails in production.
const FOREIGN_FUNCTIONS: &[&str] = &[
    "gen_random_uuid",
    "string_agg",
    "array_agg",
    "json_agg",
    "jsonb_agg",
    "json_object_agg",
    "jsonb_object_agg",
    "row_to_json",
    "to_json",
    "to_jsonb",
    "json_build_object",
    "jsonb_build_object",
    "json_build_array",
    "jsonb_build_array",
    "jsonb_set",
    "jsonb_each",
    "json_each",
    "json_array_elements",
    "jsonb_array_elements",
    "unnest",
    "regexp_match",
    "regexp_matches",
    "regexp_split_to_table",
    "pg_advisory_lock",
    "pg_advisory_xact_lock",
    "pg_try_advisory_lock",
    "pg_try_advisory_xact_lock",
    "pg_advisory_unlock",
    "nextval",
    "currval",
    "setval",
    "lastval",
    "format",
    "make_date",
    "make_timestamp",
    "make_interval",
    "jsonb_typeof",
    "json_typeof",
    "num_nonnulls",
    "pg_sleep",
    "txid_current",
    "pg_current_xact_id",
    "set_config",
    "pg_read_file",
    "pg_notify",
    "dblink",
    "lo_import",
    "xmlelement",
    "to_regclass",
    "concat_ws",
    "encode",
];

/// Functions that both have with other results.
const DIFFERENT_FUNCTIONS: &[&str] = &[
    "avg",
    "decode",
    "date_part_year",
    "listagg",
    "median",
    "percentile_cont",
    "dateadd",
    "datediff",
    "convert_timezone",
    "to_timestamp",
];

struct Edits<'a> {
    sql: &'a str,
    out: String,
    copied: usize,
    long_names: Vec<String>,
}

impl Edits<'_> {
    fn replace(&mut self, start: usize, end: usize, text: &str) {
        self.out.push_str(&self.sql[self.copied..start]);
        self.out.push_str(text);
        self.copied = end;
    }

    fn identifier(&mut self, token: &Token, name: String, was: &str) {
        let stored = name::stored(&name);
        let delimited = name::delimited(&stored);
        if stored != name {
            self.long_names.push(name);
        }
        if delimited != was {
            self.replace(token.range.start, token.range.end, &delimited);
        }
    }
}

/// Rewrites the tokens of one statement (or a part of one).
///
/// # Errors
/// Constructs that Redshift refuses or that are not emulated.
pub fn rewrite(sql: &str, tokens: &[Token], context: Context) -> Result<Rewritten, Refusal> {
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else {
        return Ok(Rewritten::default());
    };
    let mut edits = Edits {
        sql,
        out: String::with_capacity(sql.len() + 64),
        copied: first.range.start,
        long_names: Vec::new(),
    };
    let mut open_brackets: Vec<bool> = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let text = token.text(sql);
        at += 1;
        match token.kind {
            Kind::Quoted => edits.identifier(token, name::fold(&quoted_value(text), context.keep_case), text),
            Kind::Cast => at += cast(sql, &tokens[at..], context, &mut edits)?,
            Kind::Dollar => return Err(Refusal::not_emulated("dollar-quoted strings")),
            Kind::Literal if !text.starts_with('\'') && !text.starts_with(['e', 'E']) => {
                return Err(Refusal::not_emulated(format!("literal {text}")));
            }
            Kind::Sign if text == "(" => open_brackets.push(at >= 2 && tokens[at - 2].is(sql, "cast")),
            Kind::Sign if text == ")" => {
                open_brackets.pop();
            }
            Kind::Word if token.is(sql, "as") && open_brackets.last() == Some(&true) => {
                at += cast(sql, &tokens[at..], context, &mut edits)?
            }
            Kind::Word => {
                let after_dot = at >= 2 && tokens[at - 2].is_sign(sql, '.') && !is_catalog(sql, tokens, at);
                at += word(token, &tokens[at..], after_dot, context, &mut edits)?;
            }
            Kind::Literal | Kind::Number | Kind::Sign => {}
        }
    }
    let end = last.range.end;
    edits.replace(end.max(edits.copied), end.max(edits.copied), "");
    Ok(Rewritten {
        sql: edits.out,
        long_names: edits.long_names,
    })
}

/// True when the word before `at` is qualified by `pg_catalog.`.
fn is_catalog(sql: &str, tokens: &[Token], at: usize) -> bool {
    at >= 3 && tokens[at - 3].is(sql, "pg_catalog")
}

/// Replaces the type name that follows; returns the number of tokens it had.
fn cast(sql: &str, rest: &[Token], context: Context, edits: &mut Edits<'_>) -> Result<usize, Refusal> {
    let mut cursor = Cursor::new(sql, rest, context.keep_case);
    let mapped = types::parse(&mut cursor, Place::Cast)?;
    let used = rest.len() - cursor.rest().len();
    edits.replace(rest[0].range.start, rest[used - 1].range.end, &mapped);
    Ok(used)
}

/// Rewrites a bare word; returns the number of further tokens it used up.
fn word(
    token: &Token,
    rest: &[Token],
    after_dot: bool,
    context: Context,
    edits: &mut Edits<'_>,
) -> Result<usize, Refusal> {
    let sql = edits.sql;
    let text = token.text(sql);
    if text.len() > name::STORED_BYTES_MAX {
        edits.identifier(token, name::fold(text, false), text);
        return Ok(0);
    }
    if after_dot {
        return Ok(0);
    }
    let lower = text.to_ascii_lowercase();
    let called = rest.first().is_some_and(|next| next.is_sign(sql, '('));
    let empty_call = called && rest.get(1).is_some_and(|next| next.is_sign(sql, ')'));
    match lower.as_str() {
        "sysdate" if !called => edits.replace(token.range.start, token.range.end, "redshift_local.sysdate()"),
        "version" if empty_call => edits.replace(token.range.start, token.range.end, "redshift_local.version"),
        "pg_last_copy_count" if empty_call => {
            edits.replace(
                token.range.start,
                rest[1].range.end,
                &format!("pg_last_copy_count({}::int8)", context.last_copy_count),
            );
            return Ok(2);
        }
        "pg_last_copy_id" if empty_call => {
            edits.replace(
                token.range.start,
                rest[1].range.end,
                &format!("pg_last_copy_id({}::int4)", context.last_copy_id),
            );
            return Ok(2);
        }
        "nvl" if called => edits.replace(token.range.start, token.range.end, "coalesce"),
        "pg_stat_activity" => edits.replace(token.range.start, token.range.end, "redshift_local.pg_stat_activity"),
        "information_schema" if rest.len() > 1 && rest[0].is_sign(sql, '.') && rest[1].is(sql, "columns") => {
            edits.replace(
                token.range.start,
                rest[1].range.end,
                "redshift_local.information_schema_columns",
            );
            return Ok(2);
        }
        "qualify" | "minus" => return Err(Refusal::not_emulated(lower.to_uppercase())),
        "pivot" | "unpivot" if called => return Err(Refusal::not_emulated(lower.to_uppercase())),
        "interval" => return Err(Refusal::not_emulated("INTERVAL")),
        "array" if called || rest.first().is_some_and(|next| next.is_sign(sql, '[')) => {
            return Err(Refusal::not_emulated("ARRAY"));
        }
        "distinct" if rest.first().is_some_and(|next| next.is(sql, "on")) => {
            return Err(Refusal::unsupported("SELECT DISTINCT ON is not supported"));
        }
        "distinct" if rest.first().is_some_and(|next| next.is(sql, "from")) => {
            return Err(Refusal::not_emulated("IS DISTINCT FROM"));
        }
        "filter" if called && rest.get(1).is_some_and(|next| next.is(sql, "where")) => {
            return Err(Refusal::syntax("("));
        }
        "lateral" | "tablesample" => return Err(Refusal::syntax(text)),
        "redshift_local" => return Err(Refusal::new("3F000", "schema \"redshift_local\" does not exist")),
        _ if called && FOREIGN_FUNCTIONS.contains(&lower.as_str()) => {
            return Err(Refusal::new("42883", format!("function {lower} does not exist")));
        }
        _ if called && DIFFERENT_FUNCTIONS.contains(&lower.as_str()) => {
            return Err(Refusal::not_emulated(format!("function {lower}")));
        }
        _ => {}
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::super::token::tokenize;
    use super::*;

    fn run(sql: &str) -> Result<String, Refusal> {
        let context = Context {
            last_copy_count: 7,
            last_copy_id: -1,
            ..Context::default()
        };
        rewrite(sql, &tokenize(sql).unwrap(), context).map(|rewritten| rewritten.sql)
    }

    #[test]
    fn leaves_plain_statements_alone() {
        for sql in [
            "SELECT a, 'b' FROM t WHERE c = 1",
            "DELETE FROM t USING s WHERE t.a = s.a",
            "INSERT INTO t (version, a) VALUES (1, 'x\\n')",
        ] {
            assert_eq!(run(sql).unwrap(), sql);
        }
    }

    #[test]
    fn rewrites_casts_names_and_functions() {
        for (given, expected) in [
            (
                "SELECT \"A\"::VARCHAR(3), CAST(b AS text)",
                "SELECT \"a\"::redshift_local.\"varchar\"(3), CAST(b AS redshift_local.\"varchar\"(1000256))",
            ),
            (
                "SELECT x AS varchar FROM (SELECT 1 AS text) y",
                "SELECT x AS varchar FROM (SELECT 1 AS text) y",
            ),
            (
                "SELECT pg_last_copy_count(), sysdate",
                "SELECT pg_last_copy_count(7::int8), redshift_local.sysdate()",
            ),
            (
                "SELECT NVL(a, 1), version()",
                "SELECT coalesce(a, 1), redshift_local.version()",
            ),
            ("SELECT t.sysdate FROM t", "SELECT t.sysdate FROM t"),
            ("SELECT CAST(a AS decimal(4, 2)) x", "SELECT CAST(a AS numeric(4,2)) x"),
            (
                "SELECT * FROM information_schema.columns",
                "SELECT * FROM redshift_local.information_schema_columns",
            ),
        ] {
            assert_eq!(run(given).unwrap(), expected);
        }
    }

    #[test]
    fn long_names_become_aliases() {
        let long = "x".repeat(100);
        let sql = format!("SELECT {long} FROM t");
        let rewritten = rewrite(&sql, &tokenize(&sql).unwrap(), Context::default()).unwrap();
        assert_eq!(rewritten.sql, format!("SELECT \"{}\" FROM t", name::stored(&long)));
        assert_eq!(rewritten.long_names, [long]);
    }

    #[test]
    fn refuses_what_would_differ() {
        for (sql, code) in [
            ("SELECT DISTINCT ON (a) b FROM t", "0A000"),
            ("SELECT a::uuid", "0A000"),
            ("SELECT string_agg(a, ',') FROM t", "42883"),
            ("SELECT avg(a) FROM t", "0A000"),
            ("SELECT a FROM t QUALIFY row_number() OVER () = 1", "0A000"),
            ("SELECT * FROM redshift_local.load_error", "3F000"),
        ] {
            assert_eq!(run(sql).unwrap_err().code, code, "{sql}");
        }
    }
}
