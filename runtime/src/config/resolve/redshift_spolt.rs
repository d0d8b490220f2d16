//! `[redshift_spolt]` and its parts.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use regex::Regex;

use super::super::reader::Section;
use super::super::topics::TopicSelection;
use super::super::units::Size;
use super::super::{ConnectionConfig, CopyAuthority, RedshiftSpoltConfig, Rewrite, SslMode, TablesConfig};
use super::choose::{at_least_one, choice, positive, secret};
use super::topics::selection;
use crate::secret::Secret;

pub(super) fn redshift_spolt(section: Section<'_>, shared: Option<&TopicSelection>) -> RedshiftSpoltConfig {
    let target: String = section.required(
        "target",
        "name this cluster, for example \"main\"; it goes into keys and messages",
    );
    let legal = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.');
    if !target.chars().all(legal) {
        section.wrong(
            "target",
            format!("`{target}` cannot be part of a key"),
            "use letters, digits, `-`, `_` and `.`",
        );
    }
    let own = section.optional::<Vec<String>>("topics").is_some();
    let mut topics = selection(&section);
    match shared {
        _ if own => {}
        Some(shared) => {
            topics.include.clone_from(&shared.include);
            topics.exclude.extend_from_slice(&shared.exclude);
        }
        None => section.wrong(
            "topics",
            "is missing",
            "list the upstream topics here, or in [s3_spolt]",
        ),
    }
    let group: String = section.or("group_id", "redshift-spolt-{target}".to_owned());
    let http = section.or("http", SocketAddr::from((Ipv4Addr::LOCALHOST, 9309)));
    let load_age = section.or("load_age", Duration::from_secs(30));
    let load_rows = at_least_one(&section, "load_rows", section.or("load_rows", 5_000_000_u64));
    let load_bytes = section.or("load_bytes", Size::mib(1024));
    let load_claims_max = at_least_one(&section, "load_claims_max", section.or("load_claims_max", 500_usize));
    let load_rows_max = section.or("load_rows_max", 20_000_000_u64);
    let load_bytes_max = section.or("load_bytes_max", Size::mib(4096));
    if load_rows_max < load_rows {
        let message = format!("`{load_rows_max}` is less than load_rows (`{load_rows}`)");
        section.wrong("load_rows_max", message, "what starts a load must fit into one");
    }
    if load_bytes_max < load_bytes {
        let message = format!("`{load_bytes_max}` is less than load_bytes (`{load_bytes}`)");
        section.wrong("load_bytes_max", message, "what starts a load must fit into one");
    }
    let parallel_loads = at_least_one(&section, "parallel_loads", section.or("parallel_loads", 4_usize));
    let takeover_after = section.or("takeover_after", Duration::from_secs(300));
    let shutdown = positive(&section, "shutdown", section.or("shutdown", Duration::from_secs(30)));
    let connection = connection(section.section("connection"));
    let copy = copy(section.section("copy"));
    let tables = tables(section.section("tables"));
    let rewrite = rewrite(&section);
    section.finish();
    RedshiftSpoltConfig {
        group_id: group.replace("{target}", &target),
        target,
        topics,
        http,
        load_age,
        load_rows,
        load_bytes,
        load_claims_max,
        load_rows_max,
        load_bytes_max,
        parallel_loads,
        takeover_after,
        shutdown,
        connection,
        copy,
        tables,
        rewrite,
    }
}

fn connection(section: Section<'_>) -> ConnectionConfig {
    let host = section.required("host", "write the host name of the cluster or workgroup endpoint");
    let port = section.or("port", 5439_u16);
    let database = section.required("database", "write the database to load into");
    let user = section.required("user", "write the user to log in as");
    let password = secret(&section, "password_env", "password_file");
    let modes = [
        ("verify-full", SslMode::VerifyFull),
        ("require", SslMode::Require),
        ("disable", SslMode::Disable),
    ];
    let sslmode = choice(&section, "sslmode", &modes);
    let ca_file = section.optional("ca_file");
    if ca_file.is_some() && sslmode != SslMode::VerifyFull {
        section.wrong(
            "ca_file",
            "is never used with this `sslmode`",
            "write sslmode = \"verify-full\", or remove ca_file",
        );
    }
    let connect_timeout = positive(
        &section,
        "connect_timeout",
        section.or("connect_timeout", Duration::from_secs(15)),
    );
    let statement_timeout = positive(
        &section,
        "statement_timeout",
        section.or("statement_timeout", Duration::from_mins(30)),
    );
    section.finish();
    ConnectionConfig {
        host,
        port,
        database,
        user,
        password,
        sslmode,
        ca_file,
        connect_timeout,
        statement_timeout,
    }
}

fn copy(section: Section<'_>) -> CopyAuthority {
    let id: Option<String> = section.optional("access_key_id_env");
    let key: Option<String> = section.optional("secret_access_key_env");
    let token: Option<String> = section.optional("session_token_env");
    let keys = id.is_some() || key.is_some() || token.is_some();
    let role = if keys {
        section.optional("iam_role")
    } else {
        Some(section.or("iam_role", "default".to_owned()))
    };
    if keys && role.is_some() {
        section.wrong(
            "iam_role",
            "contradicts the keys",
            "COPY takes a role or keys: remove one of them",
        );
    }
    let legal = |character: char| character.is_ascii_alphanumeric() || ":/_+=,.@- ".contains(character);
    if let Some(role) = &role
        && (role.is_empty() || !role.chars().all(legal))
    {
        section.wrong(
            "iam_role",
            format!("`{role}` is not a role"),
            "write \"default\" or ARNs separated by commas",
        );
    }
    let authority = match (id, key, role) {
        (Some(id), Some(key), _) => CopyAuthority::Keys {
            access_key_id: Secret::Env(id),
            secret_access_key: Secret::Env(key),
            session_token: token.map(Secret::Env),
        },
        (None, None, Some(role)) if !keys => CopyAuthority::IamRole(role),
        (id, _, _) => {
            let missing = if id.is_none() {
                "access_key_id_env"
            } else {
                "secret_access_key_env"
            };
            section.wrong(
                missing,
                "is missing",
                "keys need both access_key_id_env and secret_access_key_env",
            );
            CopyAuthority::IamRole(String::new())
        }
    };
    section.finish();
    authority
}

fn tables(section: Section<'_>) -> TablesConfig {
    let default_schema = section.or("default_schema", "public".to_owned());
    let state_schema = section.or("state_schema", "spolt".to_owned());
    for (key, schema) in [("default_schema", &default_schema), ("state_schema", &state_schema)] {
        // Redshift: an identifier has at most 127 bytes.
        if schema.is_empty() || schema.len() > 127 || schema.contains('"') {
            section.wrong(
                key,
                format!("`{schema}` is not the name of a schema"),
                "write 1 to 127 bytes without quotes",
            );
        }
    }
    let create_schemas = section.or("create_schemas", true);
    section.finish();
    TablesConfig {
        default_schema,
        state_schema,
        create_schemas,
    }
}

fn rewrite(section: &Section<'_>) -> Vec<Rewrite> {
    let mut rules: Vec<Rewrite> = Vec::new();
    for entry in section.sections("rewrite") {
        let pattern: String = entry.required("topic", "write a regular expression for topic names");
        let table: String = entry.required("table", "write schema.table; $1 stands for the first group");
        if !table.is_empty() && !table.contains('.') {
            entry.wrong("table", format!("`{table}` has no schema"), "write schema.table");
        }
        let written = format!("^(?:{})$", pattern.trim_start_matches('^').trim_end_matches('$'));
        match Regex::new(&written) {
            Ok(topic) if rules.iter().any(|rule| rule.topic.as_str() == topic.as_str()) => {
                entry.wrong(
                    "topic",
                    "is the pattern of an earlier rule, which always wins",
                    "remove one of the two rules",
                );
            }
            Ok(topic) => {
                for group in unknown_groups(&topic, &table) {
                    let hint = "groups are counted by their brackets from 1; write ${1} before letters, digits or _";
                    entry.wrong("table", format!("`${group}` is no group of the pattern"), hint);
                }
                rules.push(Rewrite { topic, table });
            }
            Err(error) => entry.wrong(
                "topic",
                format!("is not a regular expression: {error}"),
                "see docs.rs/regex for its syntax",
            ),
        }
        entry.finish();
    }
    rules
}

/// References of a replacement that the pattern does not have: they would silently become nothing.
fn unknown_groups(pattern: &Regex, replacement: &str) -> Vec<String> {
    let mut unknown = Vec::new();
    let mut rest = replacement;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
            continue;
        }
        let name = match rest.strip_prefix('{') {
            Some(braced) => braced.split('}').next().unwrap_or_default(),
            None => {
                let end = rest.find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
                &rest[..end.unwrap_or(rest.len())]
            }
        };
        let known = match name.parse::<usize>() {
            Ok(number) => number < pattern.captures_len(),
            Err(_) => pattern.capture_names().flatten().any(|known| known == name),
        };
        if !known {
            unknown.push(name.to_owned());
        }
    }
    unknown
}
