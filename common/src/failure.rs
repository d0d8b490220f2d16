//! One classification of every failure: what may be done about it, and where it happened.

use std::fmt;

use crate::ids::{Offset, Partition};

/// What a failure allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The world may be better in a moment: try again with backoff, show it in /readyz.
    Retry,
    /// It cannot get better by itself, but concerns one lineage or table: that one halts with the reason, the others go on.
    Halt,
    /// It cannot get better by itself and concerns everything: the process stops with the reason.
    Stop,
}

/// Where something happened. Only what is known is set, and only that is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Coordinates {
    /// Kafka topic.
    pub topic: Option<String>,
    /// Partition of the topic.
    pub partition: Option<Partition>,
    /// Offset in the partition.
    pub offset: Option<Offset>,
    /// Target table.
    pub table: Option<String>,
    /// Column of the table.
    pub column: Option<String>,
    /// S3 object key.
    pub key: Option<String>,
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        let mut part = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                parts.push(format!("{name} `{value}`"));
            }
        };
        part("topic", self.topic.clone());
        part("partition", self.partition.map(|partition| partition.to_string()));
        part("offset", self.offset.map(|offset| offset.to_string()));
        part("table", self.table.clone());
        part("column", self.column.clone());
        part("object", self.key.clone());
        f.write_str(&parts.join(", "))
    }
}

/// A failure with its class, its coordinates, and what a person can do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Failure {
    /// What it allows.
    pub class: Class,
    /// What was tried and went wrong: a lower-case phrase, the causes joined by `: `.
    pub message: String,
    /// Where. Boxed to keep results small.
    pub at: Box<Coordinates>,
    /// What to do about it, if that is known.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure that may pass.
    pub fn retry(message: impl Into<String>) -> Failure {
        Failure::new(Class::Retry, message)
    }

    /// A failure that halts one lineage or table.
    pub fn halt(message: impl Into<String>) -> Failure {
        Failure::new(Class::Halt, message)
    }

    /// A failure that stops the process.
    pub fn stop(message: impl Into<String>) -> Failure {
        Failure::new(Class::Stop, message)
    }

    fn new(class: Class, message: impl Into<String>) -> Failure {
        Failure {
            class,
            message: message.into(),
            at: Box::default(),
            hint: None,
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Puts what was being done before what went wrong.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Failure {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    /// Adds the topic.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Failure {
        self.at.topic = Some(topic.into());
        self
    }

    /// Adds the partition.
    #[must_use]
    pub fn partition(mut self, partition: Partition) -> Failure {
        self.at.partition = Some(partition);
        self
    }

    /// Adds the offset.
    #[must_use]
    pub fn offset(mut self, offset: Offset) -> Failure {
        self.at.offset = Some(offset);
        self
    }

    /// Adds the table.
    #[must_use]
    pub fn table(mut self, table: impl Into<String>) -> Failure {
        self.at.table = Some(table.into());
        self
    }

    /// Adds the column.
    #[must_use]
    pub fn column(mut self, column: impl Into<String>) -> Failure {
        self.at.column = Some(column.into());
        self
    }

    /// Adds the object key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Failure {
        self.at.key = Some(key.into());
        self
    }
}

/// `message at topic `t`, partition `3`` and, on a line of its own, the hint.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let at = self.at.to_string();
        if !at.is_empty() {
            write!(f, " at {at}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_what_is_known_and_nothing_else() {
        let failure = Failure::halt("decode value: unexpected end of datum")
            .topic("orders")
            .partition(Partition(3))
            .offset(Offset(17))
            .hint("look at the record with `s3-spolt peek`");
        assert_eq!(
            failure.to_string(),
            "decode value: unexpected end of datum at topic `orders`, partition `3`, offset `17`\n\
             hint: look at the record with `s3-spolt peek`"
        );
        assert_eq!(Failure::retry("connect").to_string(), "connect");
    }
}
