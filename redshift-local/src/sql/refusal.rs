//! A statement that the stand-in does not run, with the SQLSTATE and text the client sees.

/// An error that ends a statement: SQLSTATE, message, detail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (SQLSTATE {code})")]
pub struct Refusal {
    /// SQLSTATE.
    pub code: &'static str,
    /// The message.
    pub message: String,
    /// The DETAIL field, if any.
    pub detail: Option<String>,
}

impl Refusal {
    /// Builds an error with any SQLSTATE.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            detail: None,
        }
    }

    /// Redshift's parser refuses this too.
    #[must_use]
    pub fn syntax(near: &str) -> Self {
        if near.is_empty() {
            Self::new("42601", "syntax error at end of input")
        } else {
            Self::new("42601", format!("syntax error at or near \"{near}\""))
        }
    }

    /// Redshift understands this and refuses it.
    #[must_use]
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new("0A000", message)
    }

    /// Redshift may well do this; the stand-in does not, and says so rather than guessing.
    #[must_use]
    pub fn not_emulated(what: impl std::fmt::Display) -> Self {
        Self::new("0A000", format!("redshift-local: not emulated: {what}"))
    }

    /// The statement may not stand inside a transaction block.
    #[must_use]
    pub fn in_block(statement: &str) -> Self {
        Self::new("25001", format!("{statement} cannot run inside a transaction block"))
    }

    /// The same error with a DETAIL field.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl From<super::token::Unterminated> for Refusal {
    fn from(error: super::token::Unterminated) -> Self {
        Self::new("42601", error.to_string())
    }
}
