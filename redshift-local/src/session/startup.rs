//! From the first byte to the first ReadyForQuery.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use bytes::{Buf, BufMut, BytesMut};
use postgres_protocol::authentication::md5_hash;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::Ended;
use crate::shared::{SessionInfo, Shared};
use crate::sql::name::literal;
use crate::wire::backend::{self, Backend, BackendError, startup_parameters};
use crate::wire::fields::Report;
use crate::wire::frame::{FrameReader, put_frame, take_text};

const VERSION_3: u32 = 0x0003_0000;
const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// Parameters that Redshift's own drivers send and that change nothing here.
const IGNORED: &[&str] = &[
    "user",
    "database",
    "client_encoding",
    "application_name",
    "client_protocol_version",
    "driver_version",
    "os_version",
    "plugin_name",
    "extra_float_digits",
    "replication",
    "options",
    "min_protocol_version",
    "max_protocol_version",
    "idp_type",
];

/// What a session begins with: snapshots as in Redshift, literals with backslashes, a PostgreSQL that notices when the stand-in has gone, and
/// memory for the sorts and joins of a merge, which PostgreSQL's default of 4 MB would put on disk. Equal keys are joined by hash or merge, as
/// Redshift does: of a stage that nobody has analysed PostgreSQL believes that it is small, and would look its rows up one by one in the target.
const SETTINGS: &str = "SET default_transaction_isolation = 'repeatable read'; SET standard_conforming_strings = off; SET escape_string_warning = off; \
    SET backslash_quote = on; SET timezone = 'UTC'; SET client_connection_check_interval = '500ms'; SET extra_float_digits = 0; SET jit = off; SET work_mem = '64MB'; SET bytea_output = 'hex'; \
    SET enable_nestloop = off";

type Started = (OwnedWriteHalf, Backend, SessionInfo);

/// Runs the start-up; nothing when the connection only carried a CancelRequest.
pub(super) async fn start(
    shared: &Arc<Shared>,
    reader: &mut FrameReader<OwnedReadHalf>,
    mut writer: OwnedWriteHalf,
) -> Result<Option<Started>, Ended> {
    let parameters = loop {
        let Some(mut frame) = reader.startup_frame().await? else {
            return Ok(None);
        };
        match frame
            .body
            .try_get_u32()
            .map_err(|_| Ended::Refused("short start-up frame".to_owned()))?
        {
            SSL | GSS => writer.write_all(b"N").await?,
            CANCEL => {
                if frame.body.remaining() >= 8 {
                    backend::cancel(&shared.config.postgres, frame.body.get_u32(), frame.body.get_u32()).await?;
                }
                return Ok(None);
            }
            VERSION_3 => break startup_parameters(frame.body),
            other => {
                return refuse(
                    &mut writer,
                    "0A000",
                    &format!("unsupported frontend protocol {}.{}", other >> 16, other & 0xffff),
                )
                .await;
            }
        }
    };
    let get = |name: &str| {
        parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let user = get("user").unwrap_or_default().to_owned();
    if let Some((code, message)) = wrong_parameter(shared, &parameters) {
        return refuse(&mut writer, code, &message).await;
    }
    if !authenticate(shared, &user, reader, &mut writer).await? {
        return refuse(
            &mut writer,
            "28000",
            &format!("password authentication failed for user \"{user}\""),
        )
        .await;
    }
    let application_name = get("application_name").unwrap_or_default().to_owned();
    let mut backend = match connect(shared, &application_name, &parameters).await {
        Ok(backend) => backend,
        Err(error) => return refuse(&mut writer, "08006", &format!("redshift-local: {error}")).await,
    };
    if let Some(digits) = get("extra_float_digits")
        && backend
            .hidden(&format!("SET extra_float_digits = {}", literal(digits)))
            .await
            .is_err()
    {
        return refuse(
            &mut writer,
            "22023",
            "invalid value for parameter \"extra_float_digits\"",
        )
        .await;
    }
    writer.write_all(&greeting(&backend, &user, &application_name)).await?;
    let info = SessionInfo {
        pid: backend.process_id,
        user,
        application_name,
        state: "idle",
        last_statement: String::new(),
    };
    Ok(Some((writer, backend, info)))
}

async fn refuse<T>(writer: &mut OwnedWriteHalf, code: &str, message: &str) -> Result<Option<T>, Ended> {
    let mut out = BytesMut::new();
    Report::new("FATAL", code, message, None).put(&mut out, b'E');
    writer.write_all(&out).await?;
    Err(Ended::Refused(message.to_owned()))
}

fn wrong_parameter(shared: &Shared, parameters: &[(String, String)]) -> Option<(&'static str, String)> {
    for (key, value) in parameters {
        match key.as_str() {
            "extra_float_digits" if value.parse::<i32>().is_ok_and(|digits| digits > 2) => {
                return Some((
                    "22023",
                    format!("{value} is outside the valid range for parameter \"extra_float_digits\" (-15 .. 2)"),
                ));
            }
            "options" if !value.trim().is_empty() => {
                return Some(("0A000", "redshift-local: not emulated: start-up options".to_owned()));
            }
            "replication" => return Some(("0A000", "replication is not supported".to_owned())),
            "client_encoding"
                if !["utf8", "utf-8", "unicode"]
                    .iter()
                    .any(|known| value.trim_matches('\'').eq_ignore_ascii_case(known)) =>
            {
                return Some((
                    "0A000",
                    format!("redshift-local: not emulated: client encoding {value}"),
                ));
            }
            known if IGNORED.contains(&known) || is_setting(known) => {}
            unknown => return Some(("42704", format!("unrecognized configuration parameter \"{unknown}\""))),
        }
    }
    let database = parameters
        .iter()
        .find(|(key, _)| key == "database")
        .or_else(|| parameters.iter().find(|(key, _)| key == "user"))
        .map(|(_, value)| value.as_str());
    if database != Some(shared.config.database.as_str()) {
        return Some((
            "3D000",
            format!("database \"{}\" does not exist", database.unwrap_or_default()),
        ));
    }
    None
}

/// Parameters of the start-up that are settings of the session.
fn is_setting(name: &str) -> bool {
    ["datestyle", "timezone", "statement_timeout"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// Asks for the password by md5, if one is configured.
async fn authenticate(
    shared: &Shared,
    user: &str,
    reader: &mut FrameReader<OwnedReadHalf>,
    writer: &mut OwnedWriteHalf,
) -> Result<bool, Ended> {
    let is_known = shared.config.user.as_deref().is_none_or(|known| known == user);
    let Some(password) = &shared.config.password else {
        return Ok(is_known);
    };
    let salt = u32::try_from(RandomState::new().build_hasher().finish() & 0xffff_ffff)
        .unwrap_or(0)
        .to_be_bytes();
    let mut body = vec![0, 0, 0, 5];
    body.extend_from_slice(&salt);
    let mut out = BytesMut::new();
    put_frame(&mut out, b'R', &body);
    writer.write_all(&out).await?;
    let Some(mut frame) = reader.frame().await? else {
        return Err(Ended::Gone);
    };
    let given = take_text(&mut frame.body).unwrap_or_default();
    Ok(frame.kind == b'p' && is_known && given == md5_hash(user.as_bytes(), password.as_bytes(), salt))
}

async fn connect(
    shared: &Shared,
    application_name: &str,
    parameters: &[(String, String)],
) -> Result<Backend, BackendError> {
    let mut backend = Backend::connect(&shared.config.postgres, application_name).await?;
    let mut settings = SETTINGS.to_owned();
    for (key, value) in parameters.iter().filter(|(key, _)| is_setting(key)) {
        settings.push_str(&format!("; SET {key} = {}", literal(value)));
    }
    backend.hidden(&settings).await?;
    Ok(backend)
}

/// AuthenticationOk, the parameters a Redshift reports, BackendKeyData, ReadyForQuery.
fn greeting(backend: &Backend, user: &str, application_name: &str) -> BytesMut {
    let mut out = BytesMut::new();
    put_frame(&mut out, b'R', &[0, 0, 0, 0]);
    let pid = backend.process_id.to_string();
    for (name, value) in [
        ("server_version", "8.0.2"),
        ("server_encoding", "UNICODE"),
        ("client_encoding", "UNICODE"),
        ("application_name", application_name),
        ("datestyle", "ISO, MDY"),
        ("integer_datetimes", "on"),
        ("is_superuser", "on"),
        ("session_authorization", user),
        ("TimeZone", "UTC"),
        ("padb_version", "PostgreSQL 8.0.2 on i686-pc-linux-gnu, Redshift 1.0.0"),
        ("padb_revision", "redshift-local"),
        ("max_numeric_precision", "38"),
        ("max_varchar_size", "65535"),
        ("session_id", &pid),
    ] {
        let mut body = Vec::new();
        body.put_slice(name.as_bytes());
        body.put_u8(0);
        body.put_slice(value.as_bytes());
        body.put_u8(0);
        put_frame(&mut out, b'S', &body);
    }
    let mut key = Vec::new();
    key.put_u32(backend.process_id);
    key.put_u32(backend.secret);
    put_frame(&mut out, b'K', &key);
    put_frame(&mut out, b'Z', b"I");
    out
}
