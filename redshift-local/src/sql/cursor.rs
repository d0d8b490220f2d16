//! Walks over the tokens of one statement.

use super::name;
use super::refusal::Refusal;
use super::token::{Kind, Token, literal_value, quoted_value};

/// A position in a statement's tokens.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    /// The text the tokens were cut from.
    pub sql: &'a str,
    tokens: &'a [Token],
    at: usize,
    keep_case: bool,
}

impl<'a> Cursor<'a> {
    /// Starts at the first token. `keep_case` is the session's `enable_case_sensitive_identifier`.
    #[must_use]
    pub fn new(sql: &'a str, tokens: &'a [Token], keep_case: bool) -> Self {
        Self {
            sql,
            tokens,
            at: 0,
            keep_case,
        }
    }

    /// The tokens from here on.
    #[must_use]
    pub fn rest(&self) -> &'a [Token] {
        &self.tokens[self.at..]
    }

    /// The token `ahead` places from here.
    #[must_use]
    pub fn peek(&self, ahead: usize) -> Option<&'a Token> {
        self.tokens.get(self.at + ahead)
    }

    /// The next token's text, or nothing at the end: what a syntax error names.
    #[must_use]
    pub fn near(&self) -> &'a str {
        self.peek(0).map_or("", |token| token.text(self.sql))
    }

    /// True at the end.
    #[must_use]
    pub fn done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// Moves over one token.
    pub fn skip(&mut self) -> Option<&'a Token> {
        let token = self.tokens.get(self.at)?;
        self.at += 1;
        Some(token)
    }

    /// True when the next tokens are these bare words.
    #[must_use]
    pub fn sees(&self, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(ahead, word)| self.peek(ahead).is_some_and(|token| token.is(self.sql, word)))
    }

    /// Moves over these bare words if they come next.
    pub fn take(&mut self, words: &[&str]) -> bool {
        let seen = self.sees(words);
        if seen {
            self.at += words.len();
        }
        seen
    }

    /// Moves over the sign if it comes next.
    pub fn take_sign(&mut self, sign: char) -> bool {
        let seen = self.peek(0).is_some_and(|token| token.is_sign(self.sql, sign));
        if seen {
            self.at += 1;
        }
        seen
    }

    /// Moves over the sign or refuses.
    ///
    /// # Errors
    /// A syntax error that names what stands there instead.
    pub fn expect_sign(&mut self, sign: char) -> Result<(), Refusal> {
        if self.take_sign(sign) {
            Ok(())
        } else {
            Err(Refusal::syntax(self.near()))
        }
    }

    /// Refuses anything that is left.
    ///
    /// # Errors
    /// A syntax error that names the next token.
    pub fn expect_end(&self) -> Result<(), Refusal> {
        if self.done() {
            Ok(())
        } else {
            Err(Refusal::syntax(self.near()))
        }
    }

    /// One identifier, folded.
    ///
    /// # Errors
    /// A syntax error when none stands here.
    pub fn identifier(&mut self) -> Result<String, Refusal> {
        let token = self.peek(0).ok_or_else(|| Refusal::syntax(""))?;
        let text = token.text(self.sql);
        let name = match token.kind {
            Kind::Word => name::fold(text, false),
            Kind::Quoted => name::fold(&quoted_value(text), self.keep_case),
            _ => return Err(Refusal::syntax(text)),
        };
        self.at += 1;
        Ok(name)
    }

    /// A table name with an optional schema.
    ///
    /// # Errors
    /// A syntax error when none stands here.
    pub fn table(&mut self) -> Result<TableName, Refusal> {
        let first = self.identifier()?;
        if first.starts_with('#') {
            return Err(Refusal::not_emulated("temporary tables named with `#`"));
        }
        if self.take_sign('.') {
            let name = self.identifier()?;
            if self.take_sign('.') {
                return Err(Refusal::not_emulated("names of three parts"));
            }
            return Ok(TableName {
                schema: Some(first),
                name,
            });
        }
        Ok(TableName {
            schema: None,
            name: first,
        })
    }

    /// A string literal's value.
    ///
    /// # Errors
    /// A syntax error when none stands here.
    pub fn literal(&mut self) -> Result<String, Refusal> {
        match self.peek(0) {
            Some(token) if token.kind == Kind::Literal => {
                self.at += 1;
                Ok(literal_value(token.text(self.sql)))
            }
            _ => Err(Refusal::syntax(self.near())),
        }
    }

    /// A plain whole number.
    ///
    /// # Errors
    /// A syntax error when none stands here.
    pub fn number(&mut self) -> Result<u64, Refusal> {
        let number = self
            .peek(0)
            .filter(|token| token.kind == Kind::Number)
            .and_then(|token| token.text(self.sql).parse().ok());
        match number {
            Some(number) => {
                self.at += 1;
                Ok(number)
            }
            None => Err(Refusal::syntax(self.near())),
        }
    }

    /// The tokens inside the brackets that open here; the position moves behind the closing one.
    ///
    /// # Errors
    /// A syntax error when no bracket opens here or it never closes.
    pub fn bracketed(&mut self) -> Result<&'a [Token], Refusal> {
        self.expect_sign('(')?;
        let start = self.at;
        let mut depth = 1;
        while let Some(token) = self.skip() {
            if token.is_sign(self.sql, '(') {
                depth += 1;
            } else if token.is_sign(self.sql, ')') {
                depth -= 1;
                if depth == 0 {
                    return Ok(&self.tokens[start..self.at - 1]);
                }
            }
        }
        Err(Refusal::syntax(""))
    }

    /// The same kind of cursor over other tokens of the same text.
    #[must_use]
    pub fn over(&self, tokens: &'a [Token]) -> Self {
        Self {
            sql: self.sql,
            tokens,
            at: 0,
            keep_case: self.keep_case,
        }
    }

    /// The text from the first to the last of `tokens`.
    #[must_use]
    pub fn text_of(&self, tokens: &[Token]) -> &'a str {
        match (tokens.first(), tokens.last()) {
            (Some(first), Some(last)) => &self.sql[first.range.start..last.range.end],
            _ => "",
        }
    }
}

/// Splits tokens at commas outside of brackets.
#[must_use]
pub fn split_commas<'a>(sql: &str, tokens: &'a [Token]) -> Vec<&'a [Token]> {
    let mut depth = 0;
    tokens
        .split(|token| {
            if token.is_sign(sql, '(') {
                depth += 1;
            } else if token.is_sign(sql, ')') {
                depth -= 1;
            }
            depth == 0 && token.is_sign(sql, ',')
        })
        .collect()
}

/// A table as the statement names it, folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    /// The schema, if named.
    pub schema: Option<String>,
    /// The table.
    pub name: String,
}

impl TableName {
    /// The name as PostgreSQL gets it: delimited, long parts replaced by their alias.
    #[must_use]
    pub fn stored(&self) -> String {
        let table = name::delimited(&name::stored(&self.name));
        match &self.schema {
            Some(schema) => format!("{}.{table}", name::delimited(&name::stored(schema))),
            None => table,
        }
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}
