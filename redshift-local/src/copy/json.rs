//! Checks JSON for SUPER: syntax, no duplicate keys, string and nesting limits (redshift.md 1.4, 2.1).

use std::collections::HashSet;

/// Largest scalar string of a SUPER value in bytes.
const STRING_BYTES_MAX: usize = 65_535;
/// Deepest nesting.
const DEPTH_MAX: usize = 1_000;
/// Largest SUPER value in bytes.
pub const SUPER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why a text is no SUPER value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Not JSON.
    #[error("Invalid JSON format")]
    Syntax,
    /// A key stands twice in one object.
    #[error("Duplicate key in JSON object")]
    DuplicateKey,
    /// A string is over the limit.
    #[error("String value exceeds the max size of 65535 bytes")]
    LongString,
    /// Too deep.
    #[error("JSON nesting exceeds 1000 levels")]
    Depth,
    /// Too large as a whole.
    #[error("SUPER value exceeds 16 MB")]
    Size,
}

/// Checks one JSON text.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(text: &str) -> Result<(), Invalid> {
    if text.len() > SUPER_BYTES_MAX {
        return Err(Invalid::Size);
    }
    let mut checker = Checker {
        bytes: text.as_bytes(),
        at: 0,
        depth: 0,
    };
    checker.blanks();
    checker.value()?;
    checker.blanks();
    if checker.at == checker.bytes.len() {
        Ok(())
    } else {
        Err(Invalid::Syntax)
    }
}

struct Checker<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Checker<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Invalid> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(Invalid::Syntax)
    }

    fn value(&mut self) -> Result<(), Invalid> {
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(|_| ()),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Result<(), Invalid>) -> Result<(), Invalid> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Invalid::Depth);
        }
        self.at += 1;
        self.blanks();
        inner(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn object(&mut self) -> Result<(), Invalid> {
        if self.expect(b'}').is_ok() {
            return Ok(());
        }
        let mut keys: HashSet<&'a [u8]> = HashSet::new();
        loop {
            if !keys.insert(self.string()?) {
                return Err(Invalid::DuplicateKey);
            }
            self.blanks();
            self.expect(b':')?;
            self.blanks();
            self.value()?;
            self.blanks();
            if self.expect(b',').is_err() {
                return self.expect(b'}');
            }
            self.blanks();
        }
    }

    fn array(&mut self) -> Result<(), Invalid> {
        if self.expect(b']').is_ok() {
            return Ok(());
        }
        loop {
            self.value()?;
            self.blanks();
            if self.expect(b',').is_err() {
                return self.expect(b']');
            }
            self.blanks();
        }
    }

    fn string(&mut self) -> Result<&'a [u8], Invalid> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.peek() {
                None | Some(0..=0x1f) => return Err(Invalid::Syntax),
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(_) => self.at += 1,
            }
        }
        let content = &self.bytes[start..self.at];
        self.at += 1;
        if content.len() > STRING_BYTES_MAX {
            Err(Invalid::LongString)
        } else {
            Ok(content)
        }
    }

    fn escape(&mut self) -> Result<(), Invalid> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 1..self.at + 5).ok_or(Invalid::Syntax)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Invalid::Syntax);
                }
                self.at += 5;
            }
            _ => return Err(Invalid::Syntax),
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Invalid> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        Err(Invalid::Syntax)
    }

    fn digits(&mut self) -> Result<(), Invalid> {
        let count = self.bytes[self.at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        self.at += count;
        if count == 0 { Err(Invalid::Syntax) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<(), Invalid> {
        let _ = self.expect(b'-');
        if self.expect(b'0').is_err() {
            self.digits()?;
        }
        if self.expect(b'.').is_ok() {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_json() {
        for text in [
            "null",
            "\"a\"",
            " {\"a\": [1, -2.5e3, true, {}], \"b\": \"\\u00e9\\n\"} ",
            "[]",
            "0",
            "{\"a\":{\"a\":1}}",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for (text, why) in [
            ("", Invalid::Syntax),
            ("a", Invalid::Syntax),
            ("{\"a\":1,}", Invalid::Syntax),
            ("01", Invalid::Syntax),
            ("NaN", Invalid::Syntax),
            ("\"a", Invalid::Syntax),
            ("{} {}", Invalid::Syntax),
            ("{\"a\":1,\"a\":2}", Invalid::DuplicateKey),
        ] {
            assert_eq!(check(text), Err(why), "{text}");
        }
        assert_eq!(check(&format!("\"{}\"", "x".repeat(65_536))), Err(Invalid::LongString));
        assert_eq!(check(&"[".repeat(1_001)), Err(Invalid::Depth));
    }

    #[test]
    fn agrees_with_serde_json_on_syntax() {
        proptest::proptest!(|(text in "[\\[\\]{}:,\"a0-2e.+\\\\ -]{0,12}")| {
            let ours = !matches!(check(&text), Err(Invalid::Syntax));
            proptest::prop_assert_eq!(ours, serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
        });
    }
}
