//! The simple query protocol: one message, one or more statements.

use std::time::Duration;

use super::{Ended, Outcome, Session};
use crate::faults::Kind;
use crate::sql::classify::{Action, PARAMETERS, Plan, Script, classify};
use crate::sql::name;
use crate::sql::refusal::Refusal;
use crate::sql::token::{Token, statements, tokenize};
use crate::wire::backend::Status;
use crate::wire::fields::{Column, Report, put_columns, put_row};
use crate::wire::frame::{Frame, put_frame, put_text, take_text};

/// How much of a statement the admin port shows.
const SHOWN_BYTES: usize = 200;

pub(super) fn refused(refusal: &Refusal) -> Report {
    Report::error(refusal.code, &refusal.message, refusal.detail.as_deref())
}

impl Session {
    /// Runs the statements of one message.
    pub(super) async fn query(&mut self, mut frame: Frame) -> Result<(), Ended> {
        let sql = take_text(&mut frame.body).unwrap_or_default();
        self.info.last_statement = name::cut(&sql, SHOWN_BYTES).to_owned();
        self.info.state = "active";
        self.shared.note_session(self.info.clone());
        match tokenize(&sql) {
            Err(error) => {
                self.fail(&refused(&error.into())).await?;
            }
            Ok(tokens) => {
                let statements = statements(&sql, &tokens);
                if statements.is_empty() {
                    put_frame(&mut self.client.out, b'I', &[]);
                }
                self.statements(&sql, &statements).await?;
            }
        }
        self.ready();
        Ok(())
    }

    /// Several statements in one message are one transaction, unless they say otherwise themselves.
    async fn statements(&mut self, sql: &str, statements: &[&[Token]]) -> Result<(), Ended> {
        for statement in statements {
            let plan = classify(sql, statement, self.context());
            let is_control = matches!(
                plan,
                Ok(Plan {
                    action: Action::Begin(_) | Action::Commit | Action::Rollback,
                    ..
                })
            );
            if statements.len() > 1 && self.backend.status == Status::Idle && !is_control {
                let _ = self.hidden("BEGIN").await?;
                self.is_implicit_block = true;
            }
            let done = match plan {
                _ if self.backend.status == Status::Failed && !is_control => self.fail(&aborted()).await?,
                Err(refusal) => self.fail(&refused(&refusal)).await?,
                Ok(plan) => {
                    self.hang(sql).await?;
                    self.keep_long_names(plan.long_names).await;
                    self.action(plan.action).await?
                }
            };
            if !done {
                break;
            }
        }
        if std::mem::take(&mut self.is_implicit_block) && self.backend.status != Status::Idle {
            let end = if self.backend.status == Status::Failed {
                "ROLLBACK"
            } else {
                "COMMIT"
            };
            if let Err(report) = self.hidden(end).await? {
                self.report(report).await?;
            }
        }
        Ok(())
    }

    async fn action(&mut self, action: Action) -> Outcome {
        match action {
            Action::Send(script) => self.relay(&script, None).await,
            Action::Write(script, table) => {
                let stored = table.stored();
                if let Some(report) = self.write_fault(&table.to_string()) {
                    return self.fail(&report).await;
                }
                self.written.push(stored);
                self.relay(&script, Some(&table)).await
            }
            Action::Begin(_) if self.is_implicit_block => {
                self.is_implicit_block = false;
                put_text(&mut self.client.out, b'C', "BEGIN");
                Ok(true)
            }
            Action::Begin(sql) => {
                self.relay(
                    &Script {
                        main: sql,
                        ..Script::default()
                    },
                    None,
                )
                .await
            }
            Action::Commit => self.commit().await,
            Action::Rollback => {
                self.is_implicit_block = false;
                self.relay(
                    &Script {
                        main: "ROLLBACK".to_owned(),
                        ..Script::default()
                    },
                    None,
                )
                .await
            }
            Action::Truncate(script, table) => self.truncate(&script, &table.stored()).await,
            Action::OutsideBlock(script, what) => {
                if self.backend.status != Status::Idle {
                    return self.fail(&refused(&Refusal::in_block(what))).await;
                }
                self.relay(&script, None).await
            }
            Action::Copy(copy) => self.copy(&copy).await,
            Action::SetParameter(name, value) => {
                match value {
                    Some(value) => self.parameters.insert(name, value),
                    None => self.parameters.remove(&name),
                };
                put_text(&mut self.client.out, b'C', "SET");
                Ok(true)
            }
            Action::ShowParameter(name) => {
                self.show(&name);
                Ok(true)
            }
        }
    }

    /// TRUNCATE commits the transaction it stands in, with everything before it (redshift.md 3.2).
    async fn truncate(&mut self, script: &Script, stored: &str) -> Outcome {
        self.written.push(stored.to_owned());
        if self.backend.status == Status::Idle {
            return self.relay(script, None).await;
        }
        match self.hidden(&script.main).await? {
            Err(report) => {
                self.report(report).await?;
                Ok(false)
            }
            Ok(_) => {
                self.is_implicit_block = false;
                if let Err(report) = self.hidden("COMMIT").await? {
                    self.report(report).await?;
                    return Ok(false);
                }
                put_text(&mut self.client.out, b'C', "TRUNCATE TABLE");
                Ok(true)
            }
        }
    }

    async fn commit(&mut self) -> Outcome {
        self.is_implicit_block = false;
        let written = self.written.clone();
        if self.shared.faults.take(Kind::CutBeforeCommit, &written).is_some() {
            // PostgreSQL is told, so that the rollback has happened when the client sees the cut.
            let _ = self.hidden("ROLLBACK").await?;
            return Err(self.cut());
        }
        let cut_after = self.shared.faults.take(Kind::CutAfterCommit, &written).is_some();
        let done = self
            .relay(
                &Script {
                    main: "COMMIT".to_owned(),
                    ..Script::default()
                },
                None,
            )
            .await?;
        if cut_after { Err(self.cut()) } else { Ok(done) }
    }

    /// The connection ends without another byte.
    pub(super) fn cut(&mut self) -> Ended {
        self.client.out.clear();
        Ended::Cut
    }

    /// Faults that make a change of rows fail.
    pub(super) fn write_fault(&self, table: &str) -> Option<Report> {
        let tables = [table.to_owned()];
        if self.shared.faults.take(Kind::Serialization1023, &tables).is_some() {
            let detail =
                "Serializable isolation violation on table - 0, transactions forming the cycle are: 0, 0 (pid:0)";
            return Some(Report::error("XX000", "1023", Some(detail)));
        }
        self.shared
            .faults
            .take(Kind::Deadlock, &tables)
            .map(|_| Report::error("40P01", "deadlock detected", None))
    }

    async fn hang(&mut self, sql: &str) -> Result<(), Ended> {
        match self.shared.faults.take(Kind::Hang, &[sql.to_owned()]) {
            Some(fault) => self.wait(fault.delay()).await,
            None => Ok(()),
        }
    }

    /// Waits, unless the client goes or PostgreSQL ends the session.
    pub(super) async fn wait(&mut self, delay: Duration) -> Result<(), Ended> {
        let end = tokio::time::Instant::now() + delay;
        loop {
            let frame = tokio::select! {
                () = tokio::time::sleep_until(end) => return Ok(()),
                () = self.client.gone.cancelled() => return Err(Ended::Gone),
                frame = self.backend.receive() => frame?,
            };
            self.unasked(frame).await?;
        }
    }

    /// Aliases are stored before they are used, by another session, so that a ROLLBACK does not forget them.
    pub(super) async fn keep_long_names(&mut self, names: Vec<String>) {
        let new: Vec<_> = names
            .into_iter()
            .map(|name| (name::stored(&name), name))
            .filter(|(alias, name)| self.shared.aliases.insert(alias.clone(), name.clone()))
            .collect();
        if new.is_empty() {
            return;
        }
        if let Err(error) = self.shared.catalog.store_aliases(&new).await {
            tracing::warn!(
                error = format!("{error:#}"),
                "long names not stored: after a restart they will show as aliases"
            );
        }
    }

    fn show(&mut self, name: &str) {
        let default = PARAMETERS
            .iter()
            .find(|(known, _)| *known == name)
            .map_or("", |(_, default)| default);
        let value = self.parameters.get(name).map_or(default, String::as_str);
        let column = Column {
            name: name.to_owned(),
            origin: (0, 0),
            type_oid: 1043,
            length: -1,
            modifier: -1,
            format: 0,
        };
        put_columns(&mut self.client.out, &[column]);
        put_row(&mut self.client.out, &[Some(value.to_owned().into())]);
        put_text(&mut self.client.out, b'C', "SHOW");
    }
}

pub(super) fn aborted() -> Report {
    Report::error(
        "25P02",
        "current transaction is aborted, commands ignored until end of transaction block",
        None,
    )
}
