//! COPY from S3, run by the stand-in and fed to PostgreSQL's own COPY on the same session, so that the client's transaction covers it.

use std::sync::{Arc, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::simple::refused;
use super::{Ended, Outcome, Session};
use crate::catalog::Load;
use crate::copy::field::{Column, Kind};
use crate::copy::load_error::{LoadError, code};
use crate::copy::pump::{Job, Progress, Pumped, pump};
use crate::copy::source::{self, SourceError};
use crate::faults::Kind as Fault;
use crate::sql::copy_statement::CopyStatement;
use crate::sql::name::{self, literal};
use crate::sql::refusal::Refusal;
use crate::wire::backend::{Rows, Status};
use crate::wire::fields::Report;
use crate::wire::frame::{put_frame, put_text};

/// Frames that wait for PostgreSQL; 16 of about 128 KiB.
const FRAMES_WAITING_MAX: usize = 16;

/// What the catalog says of a target.
struct Target {
    load: Load,
    columns: Vec<(String, Column)>,
}

/// How the feeding of PostgreSQL ended.
enum Fed {
    /// All rows are in.
    Loaded(Pumped),
    /// Records could not be loaded.
    BadRows(Pumped),
    /// PostgreSQL refused.
    Refused(Report),
    /// The objects could not be had.
    Source(SourceError),
}

impl Session {
    pub(super) async fn copy(&mut self, copy: &CopyStatement) -> Outcome {
        let is_own_block = self.backend.status == Status::Idle;
        if is_own_block {
            let _ = self.hidden("BEGIN").await?;
        }
        self.last_copy_count = 0;
        let done = match self.run_copy(copy).await? {
            Ok(()) => true,
            Err(report) => self.fail(&report).await?,
        };
        if is_own_block {
            let end = if done { "COMMIT" } else { "ROLLBACK" };
            if let Err(report) = self.hidden(end).await? {
                self.report(report).await?;
                return Ok(false);
            }
        }
        if done {
            put_text(&mut self.client.out, b'C', "COPY");
        }
        Ok(done)
    }

    async fn run_copy(&mut self, copy: &CopyStatement) -> Result<Result<(), Report>, Ended> {
        let table = copy.table.to_string();
        if let Some(report) = self.write_fault(&table) {
            return Ok(Err(report));
        }
        let target = match self.target(copy).await? {
            Ok(target) => target,
            Err(report) => return Ok(Err(report)),
        };
        self.written.push(copy.table.stored());
        if let Some(fault) = self.shared.faults.take(Fault::SlowCopy, std::slice::from_ref(&table)) {
            self.wait(fault.delay()).await?;
        }
        let shared = Arc::clone(&self.shared);
        let gone = self.client.gone.clone();
        let entries = tokio::select! {
            entries = source::entries(&shared.s3, copy) => entries,
            () = gone.cancelled() => return Err(Ended::Gone),
        };
        let entries = match entries {
            Ok(entries) => entries,
            Err(refusal) => return Ok(Err(refused(&refusal))),
        };
        let progress = Progress::default();
        let objects = source::fetch(shared.s3.clone(), entries);
        let fed = self.feed(copy, &target, objects, &progress).await?;
        self.conclude(copy, &target, fed, &progress).await
    }

    /// Locks the target and reads its columns.
    async fn target(&mut self, copy: &CopyStatement) -> Result<Result<Target, Report>, Ended> {
        let stored = copy.table.stored();
        let nonexistent = || {
            Report::error(
                "XX000",
                &format!("Cannot COPY into nonexistent table {}", copy.table.name),
                None,
            )
        };
        let sql = format!(
            "LOCK TABLE {stored} IN SHARE ROW EXCLUSIVE MODE; \
             SELECT a.attname, redshift_local.real_name(a.attname), CASE WHEN a.attidentity <> '' THEN 'identity' ELSE redshift_local.type_name(a.atttypid) END, \
                    redshift_local.type_length(a.atttypid, a.atttypmod), redshift_local.numeric_precision(a.atttypid, a.atttypmod), \
                    redshift_local.numeric_scale(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef, a.attrelid, c.relkind \
               FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
              WHERE a.attrelid = {}::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum; \
             SELECT nextval('redshift_local.query_id'), txid_current()",
            literal(&stored)
        );
        let rows = match self.hidden(&sql).await? {
            Ok(rows) => rows,
            Err(report) if matches!(report.get(b'C'), "42P01" | "3F000") => return Ok(Err(nonexistent())),
            Err(report) => return Ok(Err(super::answer::translate(report, None))),
        };
        Ok(target_of(rows, copy, self.backend.process_id).map_err(|refusal| refused(&refusal)))
    }

    /// Sends rows as they come from the thread that reads them.
    async fn feed(
        &mut self,
        copy: &CopyStatement,
        target: &Target,
        objects: mpsc::Receiver<Result<source::Object, SourceError>>,
        progress: &Progress,
    ) -> Result<Fed, Ended> {
        let names: Vec<_> = target
            .columns
            .iter()
            .map(|(stored, _)| name::delimited(stored))
            .collect();
        self.backend
            .query(&format!(
                "COPY {} ({}) FROM STDIN (FORMAT text)",
                copy.table.stored(),
                names.join(", ")
            ))
            .await?;
        loop {
            let frame = self.backend_frame().await?;
            match frame.kind {
                b'G' => break,
                b'E' => return Ok(Fed::Refused(self.drain(Report::parse(frame.body)).await?)),
                _ => {}
            }
        }
        let job = Job {
            columns: target.columns.iter().map(|(_, column)| column.clone()).collect(),
            format: copy.format.clone(),
            compression: copy.compression,
            max_error: copy.max_error,
        };
        let (sender, mut frames) = mpsc::channel::<Bytes>(FRAMES_WAITING_MAX);
        let progress = Arc::clone(progress);
        let pumping = tokio::task::spawn_blocking(move || pump(&job, objects, sender, &progress));
        let cut_in_copy = self
            .shared
            .faults
            .take(Fault::CutInCopy, &[copy.table.to_string()])
            .is_some();
        loop {
            tokio::select! {
                frame = frames.recv() => match frame {
                    None => break,
                    Some(rows) => {
                        self.backend.send(&rows).await?;
                        if cut_in_copy {
                            return Err(self.cut());
                        }
                    }
                },
                frame = self.backend.receive() => {
                    let frame = frame?;
                    if frame.kind == b'E' {
                        let report = self.drain(Report::parse(frame.body)).await?;
                        return Ok(Fed::Refused(report));
                    }
                }
                () = self.client.gone.cancelled() => return Err(Ended::Gone),
            }
        }
        if cut_in_copy {
            return Err(self.cut());
        }
        self.finish(pumping).await
    }

    /// Ends PostgreSQL's COPY: done if all rows are in, failed otherwise.
    async fn finish(&mut self, pumping: JoinHandle<Result<Pumped, SourceError>>) -> Result<Fed, Ended> {
        let pumped = pumping
            .await
            .map_err(|error| Ended::Broken(std::io::Error::other(error)))?;
        let mut out = BytesMut::new();
        match pumped {
            Ok(pumped) if !pumped.is_failed && pumped.errors.iter().all(|error| error.code != code::LINE) => {
                put_frame(&mut out, b'c', &[]);
                self.backend.send(&out).await?;
                match self.copy_answer().await? {
                    Some(report) => Ok(Fed::Refused(report)),
                    None => Ok(Fed::Loaded(pumped)),
                }
            }
            other => {
                put_text(&mut out, b'f', "load failed");
                self.backend.send(&out).await?;
                self.copy_answer().await?;
                Ok(match other {
                    Ok(pumped) => Fed::BadRows(pumped),
                    Err(error) => Fed::Source(error),
                })
            }
        }
    }

    async fn copy_answer(&mut self) -> Result<Option<Report>, Ended> {
        let mut refused = None;
        loop {
            let frame = self.backend_frame().await?;
            match frame.kind {
                b'E' => refused = Some(Report::parse(frame.body)),
                b'Z' => return Ok(refused),
                _ => {}
            }
        }
    }

    async fn drain(&mut self, report: Report) -> Result<Report, Ended> {
        while self.backend_frame().await?.kind != b'Z' {}
        Ok(report)
    }

    /// Notes, notices and errors.
    async fn conclude(
        &mut self,
        copy: &CopyStatement,
        target: &Target,
        fed: Fed,
        progress: &Progress,
    ) -> Result<Result<(), Report>, Ended> {
        let table = &copy.table.name;
        let (errors, is_failed, rows) = match fed {
            Fed::Source(error) => return Ok(Err(refused(&error.refusal()))),
            Fed::Refused(report) => match by_postgres(&report, progress, copy) {
                Some(error) => (vec![error], true, 0),
                None => return Ok(Err(super::answer::translate(report, None))),
            },
            Fed::BadRows(pumped) => (pumped.errors, true, 0),
            Fed::Loaded(pumped) => (pumped.errors, false, pumped.rows),
        };
        let is_stored = self.shared.catalog.store_load_errors(&target.load, &errors).await;
        if let Err(error) = is_stored {
            return Ok(Err(Report::error(
                "XX000",
                "redshift-local: load errors could not be stored",
                Some(&format!("{error:#}")),
            )));
        }
        if is_failed {
            return Ok(Err(Report::error(
                "XX000",
                &format!("Load into table '{table}' failed.  Check 'stl_load_errors' system table for details."),
                None,
            )));
        }
        if self
            .shared
            .faults
            .take(Fault::FailCopy, &[copy.table.to_string()])
            .is_some()
        {
            return Ok(Err(Report::error(
                "XX000",
                "S3ServiceException:We encountered an internal error. Please try again.,Status 500,Error InternalError",
                None,
            )));
        }
        self.last_copy_count = i64::try_from(rows).unwrap_or(i64::MAX);
        self.last_copy_id = target.load.query_id;
        let mut notice = format!("Load into table '{table}' completed, {rows} record(s) loaded successfully.");
        Report::new("INFO", "00000", &notice, None).put(&mut self.client.out, b'N');
        if !errors.is_empty() {
            notice = format!(
                "Load into table '{table}' completed, {} record(s) could not be loaded.  Check 'stl_load_errors' system table for details.",
                errors.len()
            );
            Report::new("INFO", "00000", &notice, None).put(&mut self.client.out, b'N');
        }
        Ok(Ok(()))
    }
}

/// An error that PostgreSQL found in a row that the stand-in's own checks let pass: its place is known by the row's number.
fn by_postgres(report: &Report, progress: &Progress, copy: &CopyStatement) -> Option<LoadError> {
    let code = report.get(b'C');
    if !(code.starts_with("22") || code.starts_with("23")) {
        return None;
    }
    let place = report.get(b'W');
    let row: u64 = place.split("line ").nth(1)?.split([',', ':']).next()?.parse().ok()?;
    let column = place
        .split("column ")
        .nth(1)
        .map_or("", |rest| rest.split([':', ',']).next().unwrap_or(""));
    let progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
    let (first, file) = progress.iter().rev().find(|(first, _)| *first < row)?;
    Some(LoadError {
        file: file.clone(),
        line: row - first + copy.format.ignore_header,
        column: column.to_owned(),
        column_type: String::new(),
        column_length: String::new(),
        position: 0,
        code: if code == "23502" { code::NOT_NULL } else { code::UNKNOWN },
        message: report.get(b'M').to_owned(),
        raw_line: String::new(),
        raw_field: String::new(),
    })
}

fn text(row: &[Option<Bytes>], index: usize) -> &str {
    row.get(index)
        .and_then(Option::as_ref)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .unwrap_or("")
}

/// Builds the target from the answer of [`Session::target`]'s query.
fn target_of(mut rows: Rows, copy: &CopyStatement, session_id: u32) -> Result<Target, Refusal> {
    let last = rows.pop().unwrap_or_default();
    let number = |row: &[Option<Bytes>], index| text(row, index).parse::<i64>().unwrap_or(0);
    let table_id = rows.first().map_or(0, |row| number(row, 8));
    if rows.first().is_some_and(|row| text(row, 9) != "r") {
        return Err(Refusal::new("XX000", format!("\"{}\" is not a table", copy.table.name)));
    }
    let load = Load {
        query_id: number(&last, 0),
        transaction_id: number(&last, 1),
        session_id,
        table_id,
    };
    let wanted: Vec<_> = match &copy.columns {
        None => rows.iter().collect(),
        Some(names) => names
            .iter()
            .map(|wanted| {
                rows.iter().find(|row| text(row, 1) == wanted).ok_or_else(|| {
                    Refusal::new(
                        "42703",
                        format!("column \"{wanted}\" of relation \"{}\" does not exist", copy.table.name),
                    )
                })
            })
            .collect::<Result<_, _>>()?,
    };
    let columns = wanted
        .into_iter()
        .map(|row| column_of(row))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Target { load, columns })
}

fn column_of(row: &[Option<Bytes>]) -> Result<(String, Column), Refusal> {
    let size = |index| text(row, index).parse::<usize>().unwrap_or(0);
    let (is_required, has_default) = (text(row, 6) == "t", text(row, 7) == "t");
    if is_required && has_default {
        return Err(Refusal::not_emulated(format!(
            "COPY into column {} that is NOT NULL and has a DEFAULT",
            text(row, 1)
        )));
    }
    let bytes_max = size(3);
    let integer = |min: i64, max: i64| Kind::Integer { min, max };
    let (kind, type_name) = match text(row, 2) {
        "smallint" => (integer(i64::from(i16::MIN), i64::from(i16::MAX)), "int2"),
        "integer" => (integer(i64::from(i32::MIN), i64::from(i32::MAX)), "int4"),
        "bigint" => (integer(i64::MIN, i64::MAX), "int8"),
        "real" => (Kind::Real, "float4"),
        "double precision" => (Kind::Double, "float8"),
        "numeric" => (
            Kind::Decimal {
                precision: size(4),
                scale: size(5),
            },
            "numeric",
        ),
        "boolean" => (Kind::Boolean, "bool"),
        "character" => (Kind::Char { bytes_max }, "char"),
        "character varying" => (Kind::Varchar { bytes_max }, "varchar"),
        "date" => (Kind::Date, "date"),
        "timestamp without time zone" => (Kind::Timestamp, "timestamp"),
        "timestamp with time zone" => (Kind::Timestamp, "timestampt"),
        "super" => (Kind::Super, "super"),
        "varbyte" => (Kind::Varbyte { bytes_max }, "varbyte"),
        other => {
            return Err(Refusal::not_emulated(format!(
                "COPY into column {} of type {other}",
                text(row, 1)
            )));
        }
    };
    let type_length = match kind {
        Kind::Decimal { precision, scale } => format!("{precision}, {scale}"),
        Kind::Char { bytes_max } | Kind::Varchar { bytes_max } | Kind::Varbyte { bytes_max } => bytes_max.to_string(),
        _ => "0".to_owned(),
    };
    Ok((
        text(row, 0).to_owned(),
        Column {
            name: text(row, 1).to_owned(),
            kind,
            is_required,
            type_name: type_name.to_owned(),
            type_length,
        },
    ))
}
