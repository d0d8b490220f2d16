//! The extended protocol: statements are decided upon at Parse and otherwise passed through.
//!
//! What the stand-in would have to do itself (COPY, TRUNCATE in a block, parameters of Redshift) is refused here as not emulated. Writes
//! take no table lock, since between two extended messages outside a block there is none to hold it.

use bytes::{BufMut, Bytes, BytesMut};

use super::simple::{aborted, refused};
use super::{Ended, Session, answer};
use crate::sql::classify::{Action, Plan, classify};
use crate::sql::refusal::Refusal;
use crate::sql::token::{statements, tokenize};
use crate::wire::backend::Status;
use crate::wire::fields::Report;
use crate::wire::frame::{Frame, put_frame, take_text};

impl Session {
    /// One message of the extended protocol.
    pub(super) async fn extended(&mut self, frame: Frame) -> Result<(), Ended> {
        match frame.kind {
            b'S' => self.sync().await,
            _ if self.is_skipping => Ok(()),
            b'P' => self.parse(frame).await,
            // Each is answered before the next one is sent: slower than a pipeline, and the order of answers cannot go wrong.
            b'B' | b'D' | b'E' | b'C' => self.step(frame.kind, &frame.body).await,
            b'H' => Ok(self.client.flush().await?),
            b'F' => {
                self.is_skipping = true;
                refused(&Refusal::unsupported("function calls are not supported")).put(&mut self.client.out, b'E');
                Ok(())
            }
            _ => {
                Report::new(
                    "FATAL",
                    "08P01",
                    &format!("invalid frontend message type {}", frame.kind),
                    None,
                )
                .put(&mut self.client.out, b'E');
                self.client.flush().await?;
                Err(Ended::Gone)
            }
        }
    }

    async fn parse(&mut self, mut frame: Frame) -> Result<(), Ended> {
        let name = take_text(&mut frame.body).unwrap_or_default();
        let sql = take_text(&mut frame.body).unwrap_or_default();
        self.info.last_statement = crate::sql::name::cut(&sql, 200).to_owned();
        let decided = self.decide(&sql).await;
        match decided {
            Ok(text) => {
                let mut body = BytesMut::new();
                for part in [name.as_str(), &text] {
                    body.put_slice(part.as_bytes());
                    body.put_u8(0);
                }
                body.put_slice(&frame.body);
                self.step(b'P', &body.freeze()).await
            }
            Err(report) => {
                self.is_skipping = true;
                self.fail(&report).await.map(|_| ())
            }
        }
    }

    /// The text to prepare, or why not.
    async fn decide(&mut self, sql: &str) -> Result<String, Report> {
        let tokens = tokenize(sql).map_err(|error| refused(&error.into()))?;
        let statements = statements(sql, &tokens);
        let statement = match statements.as_slice() {
            [] => return Ok(String::new()),
            [one] => one,
            _ => {
                return Err(Report::error(
                    "42601",
                    "cannot insert multiple commands into a prepared statement",
                    None,
                ));
            }
        };
        let plan: Plan = classify(sql, statement, self.context()).map_err(|refusal| refused(&refusal))?;
        let is_control = matches!(plan.action, Action::Begin(_) | Action::Commit | Action::Rollback);
        if self.backend.status == Status::Failed && !is_control {
            return Err(aborted());
        }
        self.keep_long_names(plan.long_names).await;
        match plan.action {
            Action::Send(script) | Action::Write(script, _)
                if script.before.is_empty() && script.after.is_empty() && script.tag.is_none() =>
            {
                Ok(script.main)
            }
            Action::Begin(sql) => Ok(sql),
            Action::Commit => Ok("COMMIT".to_owned()),
            Action::Rollback => Ok("ROLLBACK".to_owned()),
            _ => Err(refused(&Refusal::not_emulated(
                "this statement over the extended protocol; use the simple one",
            ))),
        }
    }

    /// Passes a message on and reads its answer, which Flush brings out.
    async fn step(&mut self, kind: u8, body: &Bytes) -> Result<(), Ended> {
        let mut out = BytesMut::new();
        put_frame(&mut out, kind, body);
        put_frame(&mut out, b'H', &[]);
        self.backend.send(&out).await?;
        let mut is_describing_statement = kind == b'D' && body.first() == Some(&b'S');
        loop {
            let frame = self.backend_frame().await?;
            match frame.kind {
                b'E' => {
                    self.is_skipping = true;
                    let report = answer::error_of(&frame);
                    self.report(report).await?;
                    return Ok(());
                }
                b'T' => self.row_description(frame.body),
                b'D' => self.row(frame.body),
                b't' => {
                    self.parameter_description(&frame.body);
                    is_describing_statement = false;
                    continue;
                }
                b'S' | b'G' | b'H' => continue,
                other => put_frame(&mut self.client.out, other, &frame.body),
            }
            self.client.flush_if_full().await?;
            // ParseComplete, BindComplete, CloseComplete, CommandComplete, EmptyQuery, PortalSuspended, RowDescription, NoData
            let ends = matches!(frame.kind, b'1' | b'2' | b'3' | b'C' | b'I' | b's' | b'n')
                || (frame.kind == b'T' && kind == b'D');
            if ends && !is_describing_statement {
                return Ok(());
            }
        }
    }

    fn parameter_description(&mut self, body: &Bytes) {
        let mut out = BytesMut::from(&body[..body.len().min(2)]);
        for number in body[out.len()..].chunks_exact(4) {
            let oid = u32::from_be_bytes([number[0], number[1], number[2], number[3]]);
            out.put_u32(if oid == self.shared.types.varchar { 1043 } else { oid });
        }
        put_frame(&mut self.client.out, b't', &out);
    }

    async fn sync(&mut self) -> Result<(), Ended> {
        let mut out = BytesMut::new();
        put_frame(&mut out, b'S', &[]);
        self.backend.send(&out).await?;
        loop {
            let frame = self.backend_frame().await?;
            match frame.kind {
                b'Z' => break,
                b'E' => {
                    let report = answer::error_of(&frame);
                    self.report(report).await?;
                }
                _ => {}
            }
        }
        self.is_skipping = false;
        self.ready();
        Ok(())
    }
}
