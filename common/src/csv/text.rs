//! Quoted text: checked, copied and quoted in one walk over eight bytes at a time.

use super::field::Row;
use crate::row::Reason;

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
const QUOTES: u64 = LOW * b'"' as u64;
/// Beyond this the standard library's block-wise search is faster than eight bytes at a time.
const SHORT_BYTES: usize = 64;

/// Whether one of eight bytes is NUL, a quote or not ASCII. May say yes for a clean word beside one that is not; never no.
#[inline(always)]
pub(crate) fn special(word: u64) -> u64 {
    let quotes = word ^ QUOTES;
    (word | (word.wrapping_sub(LOW) & !word) | (quotes.wrapping_sub(LOW) & !quotes)) & HIGH
}

#[inline]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let block: [u8; 8] = bytes.get(at..at + 8)?.try_into().ok()?;
    Some(u64::from_le_bytes(block))
}

impl Row {
    /// Writes `datum[at..at + bytes]`, which must exist, as quoted text. Needs `2 * bytes + 2` bytes reserved.
    #[inline]
    pub(crate) fn text(&mut self, datum: &[u8], at: usize, bytes: usize) -> Result<(), Reason> {
        if bytes <= SHORT_BYTES && self.short_text(datum, at, bytes) {
            let text = &datum[at..at + bytes];
            if bytes == self.marker.text().len() && text == self.marker.text() {
                return Err(Reason::Marker);
            }
            return Ok(());
        }
        self.careful_text(&datum[at..at + bytes])
    }

    /// Copies text that needs no care; false, with nothing written, if it does, or if the datum ends too soon for block reads.
    #[inline]
    fn short_text(&mut self, datum: &[u8], at: usize, bytes: usize) -> bool {
        let start = self.at;
        let Some(target) = self.bytes.get_mut(start..start + bytes + 16) else {
            return false;
        };
        target[0] = b'"';
        let mut seen = 0;
        let mut done = 0;
        while done + 8 <= bytes {
            let Some(word) = word(datum, at + done) else {
                return false;
            };
            seen |= special(word);
            target[1 + done..9 + done].copy_from_slice(&word.to_le_bytes());
            done += 8;
        }
        let rest = bytes - done;
        if rest > 0 {
            let Some(word) = word(datum, at + done) else {
                return false;
            };
            // What follows the text in the datum is none of its business: overwritten by something harmless.
            let mask = u64::MAX << (8 * rest);
            seen |= special((word & !mask) | (LOW & mask));
            target[1 + done..9 + done].copy_from_slice(&word.to_le_bytes());
        }
        target[1 + bytes] = b'"';
        if seen != 0 {
            return false;
        }
        self.at = start + bytes + 2;
        true
    }

    /// Writes any text, quoted, or says why it has no place in a VARCHAR.
    #[inline(never)]
    pub(crate) fn careful_text(&mut self, text: &[u8]) -> Result<(), Reason> {
        if text == self.marker.text() {
            return Err(Reason::Marker);
        }
        if memchr::memchr(0, text).is_some() {
            return Err(Reason::Nul);
        }
        if std::str::from_utf8(text).is_err() {
            return Err(Reason::Utf8);
        }
        self.quoted(text);
        Ok(())
    }

    /// Writes text in quotes, its quotes doubled, unchecked.
    pub(crate) fn quoted(&mut self, text: &[u8]) {
        self.byte(b'"');
        let mut from = 0;
        for quote in memchr::memchr_iter(b'"', text) {
            self.raw(&text[from..=quote]);
            self.byte(b'"');
            from = quote + 1;
        }
        self.raw(&text[from..]);
        self.byte(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &[u8], after: &[u8]) -> Result<Vec<u8>, Reason> {
        let mut row = Row::new("~NULL~");
        row.reserve(2 * text.len() + 2);
        let datum = [b"before", text, after].concat();
        row.text(&datum, 6, text.len())?;
        Ok(row.written().to_vec())
    }

    /// Whatever surrounds a text in its datum, and wherever in a block of eight a special byte lies, the text is the same.
    #[test]
    fn text_is_quoted_alike_at_every_length_and_position() {
        for length in (0..40).chain(60..70) {
            for after in [&b""[..], b"\"\0\xff\"\"\"\"\"\"\"", b"abcdefgh"] {
                let clean = vec![b'x'; length];
                assert_eq!(written(&clean, after).unwrap(), [b"\"", &clean[..], b"\""].concat());
                for position in 0..length {
                    let mut text = clean.clone();
                    text[position] = b'"';
                    let expected = format!("\"{}\"", String::from_utf8(text.clone()).unwrap().replace('"', "\"\""));
                    assert_eq!(written(&text, after).unwrap(), expected.as_bytes());
                    text[position] = 0;
                    assert_eq!(written(&text, after), Err(Reason::Nul));
                    text[position] = 0xff;
                    assert_eq!(written(&text, after), Err(Reason::Utf8));
                }
            }
        }
    }

    #[test]
    fn umlauts_pass_and_the_marker_does_not() {
        assert_eq!(
            written("varchär, \n\r\\".as_bytes(), b"").unwrap(),
            "\"varchär, \n\r\\\"".as_bytes()
        );
        assert_eq!(written(b"~NULL~", b""), Err(Reason::Marker));
        assert_eq!(written(b"~NULL~", b"and more bytes"), Err(Reason::Marker));
        assert_eq!(written(b"~NULL", b"~and more").unwrap(), b"\"~NULL\"");
    }
}
