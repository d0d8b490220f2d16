//! PostgreSQL's answers on their way to the client: Redshift's error codes, type numbers and column names.

use bytes::{Bytes, BytesMut};

use super::{Ended, Outcome, Session};
use crate::sql::classify::Script;
use crate::sql::cursor::TableName;
use crate::sql::name::literal;
use crate::sql::types::LENGTH_UNSTATED;
use crate::wire::fields::{Report, parse_columns, parse_row, put_columns, put_row};
use crate::wire::frame::{Frame, put_frame, put_text};

const OID_VARCHAR: u32 = 1043;
const OID_SUPER: u32 = 4000;
const OID_VARBYTE: u32 = 6551;
const OID_JSON: u32 = 114;
const OID_BYTEA: u32 = 17;

/// An error or notice of PostgreSQL as Redshift would word it.
pub(super) fn error_of(frame: &Frame) -> Report {
    translate(Report::parse(frame.body.clone()), None)
}

/// 40001 becomes XX000 with the message `1023` (redshift.md 4.2); fields that tell of PostgreSQL's insides or of rewritten text go.
pub(super) fn translate(mut report: Report, oid: Option<&str>) -> Report {
    report
        .fields
        .retain(|(code, _)| matches!(code, b'S' | b'C' | b'M' | b'D' | b'H'));
    if report.get(b'C') == "40001" {
        let detail = format!(
            "Serializable isolation violation on table - {}, transactions forming the cycle are: 0, 0 (pid:0)",
            oid.unwrap_or("0")
        );
        return Report::error("XX000", "1023", Some(&detail));
    }
    for (code, text) in &mut report.fields {
        if *code == b'M' && text.contains("redshift_local.") {
            *text = text
                .replace("redshift_local.\"varchar\"", "character varying")
                .replace("redshift_local.varchar", "character varying")
                .replace("redshift_local.", "");
        }
    }
    report
}

impl Session {
    /// Sends a script and passes the answer of its visible statement on.
    pub(super) async fn relay(&mut self, script: &Script, lock: Option<&TableName>) -> Outcome {
        let lock = lock.map(|table| format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", table.stored()));
        let before: Vec<&str> = lock.iter().chain(&script.before).map(String::as_str).collect();
        let visible = before.len();
        let all: Vec<&str> = before
            .into_iter()
            .chain([script.main.as_str()])
            .chain(script.after.iter().map(String::as_str))
            .collect();
        self.backend.query(&all.join("; ")).await?;
        let (mut index, mut tag, mut failed) = (0, None, None);
        loop {
            let frame = self.backend_frame().await?;
            match frame.kind {
                b'T' if index == visible && script.tag.is_none() => self.row_description(frame.body),
                b'D' if index == visible && script.tag.is_none() => self.row(frame.body),
                b'C' => {
                    if index == visible {
                        tag = Some(frame.body);
                    }
                    index += 1;
                }
                b'E' => failed = Some(Report::parse(frame.body)),
                b'N' => put_frame(&mut self.client.out, b'N', &frame.body),
                b'Z' => break,
                _ => {}
            }
            self.client.flush_if_full().await?;
        }
        if let Some(report) = failed {
            self.report(report).await?;
            return Ok(false);
        }
        match (script.tag, tag) {
            (Some(tag), _) => put_text(&mut self.client.out, b'C', tag),
            (None, Some(tag)) => put_frame(&mut self.client.out, b'C', &tag),
            (None, None) => put_frame(&mut self.client.out, b'I', &[]),
        }
        Ok(true)
    }

    /// Sends an error of PostgreSQL on. A fatal one ends the session.
    pub(super) async fn report(&mut self, report: Report) -> Result<(), Ended> {
        let is_fatal = matches!(report.get(b'S'), "FATAL" | "PANIC");
        let oid = if report.get(b'C') == "40001" {
            self.oid_of_written().await
        } else {
            None
        };
        translate(report, oid.as_deref()).put(&mut self.client.out, b'E');
        if is_fatal {
            self.client.flush().await?;
            return Err(Ended::Broken(std::io::Error::new(
                std::io::ErrorKind::ConnectionAborted,
                "postgresql ended the session",
            )));
        }
        Ok(())
    }

    /// The number of the table changed last, for the detail of error 1023; best effort, since the transaction has failed.
    async fn oid_of_written(&self) -> Option<String> {
        self.shared
            .catalog
            .text(&format!(
                "SELECT to_regclass({})::oid::text",
                literal(self.written.last()?)
            ))
            .await
    }

    pub(super) fn row_description(&mut self, body: Bytes) {
        let Some(mut columns) = parse_columns(body.clone()) else {
            put_frame(&mut self.client.out, b'T', &body);
            return;
        };
        self.hex_columns.clear();
        for (index, column) in columns.iter_mut().enumerate() {
            if let Some(name) = self.shared.aliases.name_of(&column.name) {
                column.name = name;
            }
            if column.type_oid == self.shared.types.varchar {
                column.type_oid = OID_VARCHAR;
                if column.modifier == LENGTH_UNSTATED.cast_signed() + 4 {
                    column.modifier = 260;
                }
            } else if column.type_oid == self.shared.types.varbyte || column.type_oid == OID_BYTEA {
                column.type_oid = OID_VARBYTE;
                if column.format == 0 {
                    self.hex_columns.push(index);
                }
            } else if column.type_oid == OID_JSON {
                column.type_oid = OID_SUPER;
            }
        }
        put_columns(&mut self.client.out, &columns);
    }

    /// VARBYTE shows as bare hexadecimal digits.
    pub(super) fn row(&mut self, body: Bytes) {
        if self.hex_columns.is_empty() {
            put_frame(&mut self.client.out, b'D', &body);
            return;
        }
        let Some(mut values) = parse_row(body.clone()) else {
            put_frame(&mut self.client.out, b'D', &body);
            return;
        };
        for index in &self.hex_columns {
            if let Some(Some(value)) = values.get_mut(*index)
                && value.starts_with(b"\\x")
            {
                *value = value.slice(2..);
            }
        }
        put_row(&mut self.client.out, &values);
    }

    /// Tells the client of an error that PostgreSQL does not know of; a running block fails as it would there.
    pub(super) async fn fail(&mut self, report: &Report) -> Outcome {
        if self.backend.status == crate::wire::backend::Status::Block {
            // Any error does: this one costs a parse and touches nothing.
            let _ = self.hidden("REFUSED").await?;
        }
        let mut out = BytesMut::new();
        report.put(&mut out, b'E');
        self.client.out.extend_from_slice(&out);
        Ok(false)
    }
}
