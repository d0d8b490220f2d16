//! Cuts SQL text into tokens the way Redshift's parser does: quotes, comments, dollar quotes, and backslashes that escape inside plain
//! literals (a habit Redshift keeps from PostgreSQL 8.0).

use std::ops::Range;

/// What a [`Token`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A bare word: keyword or identifier.
    Word,
    /// A delimited identifier, `"like this"`.
    Quoted,
    /// A string literal, with its prefix if it has one.
    Literal,
    /// A dollar-quoted string.
    Dollar,
    /// A number.
    Number,
    /// `::`
    Cast,
    /// Any other character, one per token.
    Sign,
}

/// One token and where it stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Byte range in the text.
    pub range: Range<usize>,
}

impl Token {
    /// The token's own text.
    #[must_use]
    pub fn text<'a>(&self, sql: &'a str) -> &'a str {
        &sql[self.range.clone()]
    }

    /// True for the bare word `word`, whatever its case.
    #[must_use]
    pub fn is(&self, sql: &str, word: &str) -> bool {
        self.kind == Kind::Word && self.text(sql).eq_ignore_ascii_case(word)
    }

    /// True for the single character `sign`.
    #[must_use]
    pub fn is_sign(&self, sql: &str, sign: char) -> bool {
        self.kind == Kind::Sign && self.text(sql).starts_with(sign)
    }
}

/// Why a text cannot be cut into tokens.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unterminated {what} at or near \"{near}\"")]
pub struct Unterminated {
    what: &'static str,
    near: String,
}

fn unterminated(what: &'static str, rest: &str) -> Unterminated {
    Unterminated {
        what,
        near: rest.chars().take(40).collect(),
    }
}

/// Cuts `sql` into tokens; white space and comments are left out.
///
/// # Errors
/// A quote, comment or dollar quote that does not end.
pub fn tokenize(sql: &str) -> Result<Vec<Token>, Unterminated> {
    let bytes = sql.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let next = bytes.get(at + 1).copied();
        let kind = match bytes[at] {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => {
                at += 1;
                continue;
            }
            b'-' if next == Some(b'-') => {
                at = line_end(bytes, at);
                continue;
            }
            b'/' if next == Some(b'*') => {
                at = comment_end(bytes, at).ok_or_else(|| unterminated("/* comment", &sql[start..]))?;
                continue;
            }
            b'\'' => {
                at = literal_end(bytes, at).ok_or_else(|| unterminated("quoted string", &sql[start..]))?;
                Kind::Literal
            }
            b'e' | b'E' | b'b' | b'B' | b'x' | b'X' | b'n' | b'N' if next == Some(b'\'') => {
                at = literal_end(bytes, at + 1).ok_or_else(|| unterminated("quoted string", &sql[start..]))?;
                Kind::Literal
            }
            b'"' => {
                at = quoted_end(bytes, at).ok_or_else(|| unterminated("quoted identifier", &sql[start..]))?;
                Kind::Quoted
            }
            b'$' => match dollar_tag(bytes, at) {
                Some(tag_end) => {
                    let tag = &sql[at..tag_end];
                    let body = sql[tag_end..]
                        .find(tag)
                        .ok_or_else(|| unterminated("dollar-quoted string", &sql[start..]))?;
                    at = tag_end + body + tag.len();
                    Kind::Dollar
                }
                None => {
                    at += 1 + bytes[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
                    Kind::Sign
                }
            },
            b'0'..=b'9' => {
                at = number_end(bytes, at);
                Kind::Number
            }
            b'.' if next.is_some_and(|b| b.is_ascii_digit()) && !after_name(&tokens, start) => {
                at = number_end(bytes, at);
                Kind::Number
            }
            b':' if next == Some(b':') => {
                at += 2;
                Kind::Cast
            }
            byte if is_word_start(byte) => {
                at += bytes[at..].iter().take_while(|b| is_word(**b)).count();
                Kind::Word
            }
            _ => {
                at += 1;
                Kind::Sign
            }
        };
        tokens.push(Token { kind, range: start..at });
    }
    Ok(tokens)
}

/// Splits tokens into statements at semicolons outside of brackets; empty statements are left out.
#[must_use]
pub fn statements<'a>(sql: &str, tokens: &'a [Token]) -> Vec<&'a [Token]> {
    tokens
        .split(|token| token.is_sign(sql, ';'))
        .filter(|statement| !statement.is_empty())
        .collect()
}

/// The value of a literal token, with escapes resolved.
#[must_use]
pub fn literal_value(text: &str) -> String {
    let start = text.find('\'').map_or(0, |at| at + 1);
    let body = text.get(start..text.len().saturating_sub(1)).unwrap_or("");
    let mut value = String::with_capacity(body.len());
    let mut chars = body.chars().peekable();
    while let Some(character) = chars.next() {
        match character {
            '\'' => {
                chars.next();
                value.push('\'');
            }
            '\\' => match chars.next() {
                Some('b') => value.push('\u{8}'),
                Some('f') => value.push('\u{c}'),
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some(digit @ '0'..='7') => {
                    let mut code = digit as u32 - '0' as u32;
                    for _ in 0..2 {
                        match chars.peek().and_then(|c| c.to_digit(8)) {
                            Some(more) => {
                                code = code * 8 + more;
                                chars.next();
                            }
                            None => break,
                        }
                    }
                    value.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                }
                Some(other) => value.push(other),
                None => {}
            },
            other => value.push(other),
        }
    }
    value
}

/// The name inside a delimited identifier, with doubled quotes resolved.
#[must_use]
pub fn quoted_value(text: &str) -> String {
    text.get(1..text.len().saturating_sub(1))
        .unwrap_or("")
        .replace("\"\"", "\"")
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte == b'#' || byte >= 0x80
}

fn is_word(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// `t.1` is not SQL, but `a.5` after a name must not be read as a number either.
fn after_name(tokens: &[Token], start: usize) -> bool {
    tokens
        .last()
        .is_some_and(|token| token.range.end == start && matches!(token.kind, Kind::Word | Kind::Quoted))
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..]
        .iter()
        .position(|b| *b == b'\n')
        .map_or(bytes.len(), |found| at + found)
}

/// Comments nest, as in PostgreSQL.
fn comment_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0;
    while at + 1 < bytes.len() {
        match (bytes[at], bytes[at + 1]) {
            (b'/', b'*') => {
                depth += 1;
                at += 2;
            }
            (b'*', b'/') => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
    None
}

fn literal_end(bytes: &[u8], quote: usize) -> Option<usize> {
    let mut at = quote + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
            b'\'' => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

fn quoted_end(bytes: &[u8], quote: usize) -> Option<usize> {
    let mut at = quote + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' if bytes.get(at + 1) == Some(&b'"') => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// End of the opening tag of a dollar quote at `at`, if one stands there.
fn dollar_tag(bytes: &[u8], at: usize) -> Option<usize> {
    let mut end = at + 1;
    while let Some(byte) = bytes.get(end) {
        match byte {
            b'$' => return Some(end + 1),
            b'0'..=b'9' if end == at + 1 => return None,
            byte if is_word_start(*byte) || byte.is_ascii_digit() => end += 1,
            _ => return None,
        }
    }
    None
}

fn number_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        let exponent_sign = matches!(byte, b'+' | b'-') && matches!(bytes[at - 1], b'e' | b'E');
        let exponent = matches!(byte, b'e' | b'E')
            && bytes.get(at + 1).is_some_and(|next| {
                next.is_ascii_digit()
                    || (matches!(next, b'+' | b'-') && bytes.get(at + 2).is_some_and(u8::is_ascii_digit))
            });
        if byte.is_ascii_digit() || *byte == b'.' || exponent || exponent_sign {
            at += 1;
        } else {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        tokenize(sql).unwrap().iter().map(|token| token.text(sql)).collect()
    }

    #[test]
    fn cuts_quotes_comments_and_numbers() {
        assert_eq!(
            texts("SELECT a.b,'x''y' -- no\n/* /* nested */ ; */ + 1.5e-3::int"),
            ["SELECT", "a", ".", "b", ",", "'x''y'", "+", "1.5e-3", "::", "int"]
        );
        assert_eq!(texts(r"'a\'b' 'c\\'"), [r"'a\'b'", r"'c\\'"]);
        assert_eq!(texts("$$a;b$$ $1 $x$ ' $x$"), ["$$a;b$$", "$1", "$x$ ' $x$"]);
        assert_eq!(texts("\"a\"\"b\".c E'\\n'"), ["\"a\"\"b\"", ".", "c", "E'\\n'"]);
    }

    #[test]
    fn refuses_what_does_not_end() {
        for sql in ["'a", "\"a", "/* a", "$$a", r"'a\'"] {
            assert!(tokenize(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn splits_at_semicolons_outside_quotes() {
        let sql = ";a;';' b;;";
        let tokens = tokenize(sql).unwrap();
        assert_eq!(statements(sql, &tokens).len(), 2);
    }

    #[test]
    fn resolves_escapes() {
        assert_eq!(literal_value(r"'a\tb\\c''d\'e\101'"), "a\tb\\c'd'eA");
        assert_eq!(quoted_value("\"a\"\"b\""), "a\"b");
    }
}
