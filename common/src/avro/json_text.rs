//! JSON that is already text in the source (Debezium's `data.Json`): checked and made compact for a SUPER column, its numbers
//! untouched. A text that is no JSON becomes a JSON string of it (redshift.md 7.1).

use std::collections::HashSet;

use super::{DEPTH_MAX, json};
use crate::csv::TEXT_BYTES_MAX;
use crate::row::Reason;

/// Appends the compact form of a JSON text.
pub(super) fn write(text: &[u8], out: &mut Vec<u8>) -> Result<(), Reason> {
    let text = std::str::from_utf8(text).map_err(|_| Reason::Utf8)?;
    let start = out.len();
    let mut parser = Parser {
        text: text.as_bytes(),
        at: 0,
        out,
    };
    let done = parser.value(0).and_then(|()| {
        parser.blanks();
        if parser.at == parser.text.len() {
            Ok(())
        } else {
            Err(Stop::NotJson)
        }
    });
    match done {
        Ok(()) => Ok(()),
        Err(Stop::Refused(reason)) => Err(reason),
        Err(Stop::NotJson) => {
            out.truncate(start);
            json::string(text.as_bytes(), out)
        }
    }
}

enum Stop {
    NotJson,
    Refused(Reason),
}

struct Parser<'t, 'o> {
    text: &'t [u8],
    at: usize,
    out: &'o mut Vec<u8>,
}

impl<'t> Parser<'t, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        if there {
            self.at += 1;
            self.out.push(byte);
        }
        there
    }

    fn value(&mut self, depth: usize) -> Result<(), Stop> {
        if depth > DEPTH_MAX {
            return Err(Stop::Refused(Reason::Depth));
        }
        self.blanks();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(|_| ()),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), Stop> {
        self.eat(b'{');
        self.blanks();
        if self.eat(b'}') {
            return Ok(());
        }
        let mut keys = HashSet::new();
        loop {
            self.blanks();
            let key = self.string()?;
            if !keys.insert(unescaped(key)) {
                return Err(Stop::Refused(Reason::JsonKey));
            }
            self.blanks();
            if !self.eat(b':') {
                return Err(Stop::NotJson);
            }
            self.value(depth + 1)?;
            self.blanks();
            if self.eat(b'}') {
                return Ok(());
            }
            if !self.eat(b',') {
                return Err(Stop::NotJson);
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Stop> {
        self.eat(b'[');
        self.blanks();
        if self.eat(b']') {
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            self.blanks();
            if self.eat(b']') {
                return Ok(());
            }
            if !self.eat(b',') {
                return Err(Stop::NotJson);
            }
        }
    }

    /// A string with its quotes.
    fn string(&mut self) -> Result<&'t [u8], Stop> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(Stop::NotJson);
        }
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0x20..) => self.at += 1,
                _ => return Err(Stop::NotJson),
            }
        }
        self.at += 1;
        let string = &self.text[start..self.at];
        if string.len() - 2 > TEXT_BYTES_MAX {
            return Err(Stop::Refused(Reason::JsonBytes(
                u32::try_from(string.len() - 2).unwrap_or(u32::MAX),
            )));
        }
        self.out.extend_from_slice(string);
        Ok(string)
    }

    fn escape(&mut self) -> Result<(), Stop> {
        let escaped = self.text.get(self.at + 1);
        match escaped {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.text.get(self.at + 2..self.at + 6).ok_or(Stop::NotJson)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Stop::NotJson);
                }
                if digits == b"0000" {
                    return Err(Stop::Refused(Reason::Nul));
                }
                self.at += 6;
            }
            _ => return Err(Stop::NotJson),
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Stop> {
        if !self.text[self.at..].starts_with(word) {
            return Err(Stop::NotJson);
        }
        self.at += word.len();
        self.out.extend_from_slice(word);
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<(), Stop> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let zero = self.peek() == Some(b'0');
        let whole = self.digits();
        if whole == 0 || (zero && whole > 1) {
            return Err(Stop::NotJson);
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(Stop::NotJson);
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(Stop::NotJson);
            }
        }
        self.out.extend_from_slice(&self.text[start..self.at]);
        Ok(())
    }
}

/// A key as its reader sees it, so that two spellings of one key are found.
fn unescaped(quoted: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if !quoted.contains(&b'\\') {
        return quoted.into();
    }
    serde_json::from_slice::<String>(quoted).map_or(quoted.into(), |key| format!("\"{key}\"").into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compact(text: &str) -> Result<String, Reason> {
        let mut out = Vec::new();
        write(text.as_bytes(), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn blanks_go_and_numbers_stay() {
        assert_eq!(
            compact(" { \"a\" : [ 1 , 2.50e+10 , { \"c\" : null } ] } ").unwrap(),
            r#"{"a":[1,2.50e+10,{"c":null}]}"#
        );
        let long = format!("{{\"n\":1{}}}", "0".repeat(400));
        assert_eq!(compact(&long).unwrap(), long);
        assert_eq!(compact("\"a b\"").unwrap(), "\"a b\"");
    }

    #[test]
    fn what_is_no_json_becomes_a_string() {
        for text in [
            "",
            "{",
            "{a:1}",
            "01",
            "1.",
            "nul",
            "\"\\x\"",
            "[1,]",
            "\"\u{1}\"",
            "1 2",
            "-",
            "{\"a\":1,}",
        ] {
            assert_eq!(compact(text).unwrap(), serde_json::to_string(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn what_super_refuses_is_refused() {
        assert_eq!(compact(r#"{"a":1,"\u0061":2}"#), Err(Reason::JsonKey));
        assert_eq!(compact(r#""\u0000""#), Err(Reason::Nul));
        assert_eq!(
            compact(&format!("\"{}\"", "x".repeat(65_536))),
            Err(Reason::JsonBytes(65_536))
        );
        assert_eq!(compact(&"[".repeat(200)), Err(Reason::Depth));
    }

    proptest! {
        /// A text is taken for JSON exactly when another parser takes it for JSON.
        #[test]
        fn another_parser_agrees(text in "[\\[\\]{}\":,0-9.eE+\\-a\\\\nultrfs \\t]{0,12}") {
            let ours = compact(&text);
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            if let Ok(ours) = ours {
                let string = serde_json::to_string(&text).unwrap();
                prop_assert_eq!(ours != string || text == string, is_json, "{}", ours);
            }
        }
    }
}
