//! JSON as tokens, by RFC 8259. What is read is checked; what is not needed is passed, and checked as well.

use std::borrow::Cow;

use super::error::JsonFault;
use crate::avro::DEPTH_MAX;

/// A text and how far it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanner<'t> {
    text: &'t [u8],
    /// The next byte that is read.
    pub(super) at: usize,
}

/// What stands between the quotes of a string.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quoted<'t> {
    raw: &'t [u8],
    escaped: bool,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t [u8]) -> Result<Scanner<'t>, JsonFault> {
        std::str::from_utf8(text).map_err(|_| JsonFault::Utf8)?;
        Ok(Scanner { text, at: 0 })
    }

    /// The same text from another place on, one that was reached before.
    pub(super) fn moved_to(self, at: usize) -> Scanner<'t> {
        Scanner { text: self.text, at }
    }

    /// The first byte of what comes next.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    pub(super) fn wrong<T>(&self) -> Result<T, JsonFault> {
        Err(JsonFault::Syntax(self.at))
    }

    #[inline]
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    #[inline]
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), JsonFault> {
        if self.eat(byte) { Ok(()) } else { self.wrong() }
    }

    /// Nothing but blanks is left.
    pub(super) fn end(&mut self) -> Result<(), JsonFault> {
        if self.peek().is_none() { Ok(()) } else { self.wrong() }
    }

    /// What comes next, in words.
    pub(super) fn found(&mut self) -> &'static str {
        match self.peek() {
            Some(b'{') => "an object",
            Some(b'[') => "an array",
            Some(b'"') => "a text",
            Some(b't' | b'f') => "true or false",
            Some(b'n') => "null",
            Some(_) => "a number",
            None => "nothing",
        }
    }

    #[inline]
    fn word(&mut self, word: &[u8]) -> bool {
        let there = self.peek().is_some() && self.text[self.at..].starts_with(word);
        self.at += if there { word.len() } else { 0 };
        there
    }

    #[inline]
    pub(super) fn null(&mut self) -> bool {
        self.word(b"null")
    }

    pub(super) fn boolean(&mut self) -> Option<bool> {
        if self.word(b"true") {
            Some(true)
        } else {
            self.word(b"false").then_some(false)
        }
    }

    #[inline]
    pub(super) fn string(&mut self) -> Result<Quoted<'t>, JsonFault> {
        self.expect(b'"')?;
        let (start, mut escaped) = (self.at, false);
        loop {
            let rest = &self.text[self.at..];
            let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
                self.at = self.text.len();
                return self.wrong();
            };
            if let Some(control) = rest[..found].iter().position(|&byte| byte < 0x20) {
                self.at += control;
                return self.wrong();
            }
            self.at += found;
            if rest[found] == b'"' {
                let raw = &self.text[start..self.at];
                self.at += 1;
                return Ok(Quoted { raw, escaped });
            }
            escaped = true;
            self.escape()?;
        }
    }

    fn escape(&mut self) -> Result<(), JsonFault> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') if hex4(self.text, self.at + 2).is_some() => self.at += 6,
            _ => return self.wrong(),
        }
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let rest = &self.text[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    /// A number as it is written.
    pub(super) fn number(&mut self) -> Result<&'t str, JsonFault> {
        self.peek();
        let start = self.at;
        let next = |scanner: &Self| scanner.text.get(scanner.at).copied();
        self.at += usize::from(next(self) == Some(b'-'));
        let zero = next(self) == Some(b'0');
        let whole = self.digits();
        if whole == 0 || zero && whole > 1 {
            return self.wrong();
        }
        if next(self) == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return self.wrong();
            }
        }
        if matches!(next(self), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(next(self), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return self.wrong();
            }
        }
        std::str::from_utf8(&self.text[start..self.at]).map_err(|_| JsonFault::Utf8)
    }

    /// Passes one value; its text.
    pub(super) fn pass(&mut self) -> Result<&'t [u8], JsonFault> {
        self.peek();
        let start = self.at;
        self.pass_value(0)?;
        Ok(&self.text[start..self.at])
    }

    fn pass_value(&mut self, depth: usize) -> Result<(), JsonFault> {
        if depth > DEPTH_MAX {
            return Err(JsonFault::Depth);
        }
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'{') => {
                self.at += 1;
                self.items(b'}', |scanner| {
                    scanner.string()?;
                    scanner.expect(b':')?;
                    scanner.pass_value(depth + 1)
                })
            }
            Some(b'[') => {
                self.at += 1;
                self.items(b']', |scanner| scanner.pass_value(depth + 1))
            }
            Some(b't' | b'f') if self.boolean().is_some() => Ok(()),
            Some(b'n') if self.null() => Ok(()),
            _ => self.number().map(drop),
        }
    }

    /// The items up to the end of an object or array whose beginning is read.
    pub(super) fn items<E: From<JsonFault>>(
        &mut self,
        end: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.eat(end) {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.eat(end) {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }
}

fn hex4(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 4)?;
    digits
        .iter()
        .try_fold(0, |number, &digit| Some(number * 16 + char::from(digit).to_digit(16)?))
}

impl<'t> Quoted<'t> {
    /// Whether it is this text, which needs no escapes.
    #[inline]
    pub(super) fn is(&self, text: &str) -> bool {
        if self.escaped {
            self.text().is_ok_and(|found| found == text)
        } else {
            self.raw == text.as_bytes()
        }
    }

    /// What it means.
    pub(super) fn text(&self) -> Result<Cow<'t, str>, JsonFault> {
        let text = match self.escaped {
            false => Cow::Borrowed(self.raw),
            true => {
                let mut out = Vec::with_capacity(self.raw.len());
                self.unescape(&mut out)?;
                Cow::Owned(out)
            }
        };
        match text {
            Cow::Borrowed(text) => std::str::from_utf8(text)
                .map(Cow::Borrowed)
                .map_err(|_| JsonFault::Utf8),
            Cow::Owned(text) => String::from_utf8(text).map(Cow::Owned).map_err(|_| JsonFault::Utf8),
        }
    }

    /// The bytes between the quotes, if they mean themselves.
    #[inline]
    pub(super) fn unescaped(&self) -> Option<&'t [u8]> {
        (!self.escaped).then_some(self.raw)
    }

    /// Appends what it means.
    pub(super) fn unescape(&self, out: &mut Vec<u8>) -> Result<(), JsonFault> {
        let mut at = 0;
        while let Some(&byte) = self.raw.get(at) {
            if byte != b'\\' {
                let end = memchr::memchr(b'\\', &self.raw[at..]).map_or(self.raw.len(), |found| at + found);
                out.extend_from_slice(&self.raw[at..end]);
                at = end;
                continue;
            }
            let plain = match self.raw[at + 1] {
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'u' => {
                    let (character, length) = self.character(at)?;
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    at += length;
                    continue;
                }
                other => other,
            };
            out.push(plain);
            at += 2;
        }
        Ok(())
    }

    /// The character of one escape by number, or of two that belong together; how many bytes they take.
    fn character(&self, at: usize) -> Result<(char, usize), JsonFault> {
        let first = hex4(self.raw, at + 2).ok_or(JsonFault::Surrogate)?;
        if let Some(character) = char::from_u32(first) {
            return Ok((character, 6));
        }
        let low = self.raw.get(at + 6..at + 8).filter(|next| *next == b"\\u");
        let low = low.and_then(|_| hex4(self.raw, at + 8));
        match (first, low) {
            (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
                let number = 0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00);
                Ok((char::from_u32(number).ok_or(JsonFault::Surrogate)?, 12))
            }
            _ => Err(JsonFault::Surrogate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn passes(text: &str) -> bool {
        let mut scanner = Scanner::new(text.as_bytes()).unwrap();
        scanner.pass().and_then(|_| scanner.end()).is_ok()
    }

    fn string(text: &str) -> Result<String, JsonFault> {
        let mut scanner = Scanner::new(text.as_bytes())?;
        let quoted = scanner.string()?;
        scanner.end()?;
        Ok(quoted.text()?.into_owned())
    }

    #[test]
    fn strings_mean_what_their_escapes_say() {
        assert_eq!(string(r#" "a\n\"\\\/é\u00e9" "#).unwrap(), "a\n\"\\/éé");
        assert_eq!(string(r#""\ud83d\ude00""#).unwrap(), "😀");
        for half in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83dx""#, r#""\ud83d\u0041""#] {
            assert_eq!(string(half), Err(JsonFault::Surrogate), "{half}");
        }
        assert_eq!(string("\"a\u{1}\""), Err(JsonFault::Syntax(2)));
        assert_eq!(string("\"a"), Err(JsonFault::Syntax(2)));
    }

    #[test]
    fn what_is_nested_too_deep_is_refused_before_the_stack_ends() {
        let deep = "[".repeat(100_000);
        let mut scanner = Scanner::new(deep.as_bytes()).unwrap();
        assert_eq!(scanner.pass(), Err(JsonFault::Depth));
    }

    proptest! {
        /// A text is JSON exactly when another parser says so.
        #[test]
        fn another_parser_agrees(text in "[\\[\\]{}\":,0-9.eE+\\-a\\\\nultrfs \\t]{0,12}") {
            prop_assert_eq!(passes(&text), serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
        }

        #[test]
        fn every_text_comes_back(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(string(&json).unwrap(), text);
        }
    }
}
