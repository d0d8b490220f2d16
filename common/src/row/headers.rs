//! The headers of a record: how they travel beside it, and how they stand in a column.
//!
//! They travel as one block, so that a record is still a handful of slices: for each header the length of its name, the name, the length of
//! its value, or [`NULL`], and the value; lengths are four bytes, the lowest first. In a row they are a JSON object of texts for a SUPER
//! column, its names in alphabetical order. A name that came more than once has an array of its values in the order in which they came; a
//! value that is no text is an object whose `base64` has its bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::Reason;
use crate::avro::json;

/// Stands for the length of a value that is null.
const NULL: u32 = u32::MAX;

/// Appends one header to a block.
///
/// # Panics
/// Never: Kafka's own lengths are 32 bits with a sign.
pub fn push(block: &mut Vec<u8>, name: &str, value: Option<&[u8]>) {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("invariant: a record of Kafka is below 2 GiB");
    block.extend(length(name.as_bytes()).to_le_bytes());
    block.extend_from_slice(name.as_bytes());
    block.extend(value.map_or(NULL, length).to_le_bytes());
    block.extend_from_slice(value.unwrap_or_default());
}

/// A header: its name and value.
type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// Takes one header off the front of a block; `None` at its end, and where it is none.
fn next<'a>(block: &mut &'a [u8]) -> Option<Header<'a>> {
    let bytes = length(block)?;
    let name = take(block, bytes)?;
    match length(block)? {
        NULL => Some((name, None)),
        bytes => Some((name, Some(take(block, bytes)?))),
    }
}

fn length(block: &mut &[u8]) -> Option<u32> {
    let (length, rest) = block.split_first_chunk()?;
    *block = rest;
    Some(u32::from_le_bytes(*length))
}

fn take<'a>(block: &mut &'a [u8], bytes: u32) -> Option<&'a [u8]> {
    let (taken, rest) = block.split_at_checked(bytes as usize)?;
    *block = rest;
    Some(taken)
}

/// Writes the headers of a block as JSON; nothing is written where there are none.
///
/// # Errors
/// When a name or value is longer than a text of SUPER can be, or a name has a NUL.
pub(super) fn write(mut block: &[u8], out: &mut Vec<u8>) -> Result<(), Reason> {
    let mut headers = Vec::new();
    while let Some(header) = next(&mut block) {
        headers.push(header);
    }
    if headers.is_empty() {
        return Ok(());
    }
    // Stable, so that values of one name keep their order.
    headers.sort_by_key(|(name, _)| *name);
    out.push(b'{');
    for (index, same) in headers.chunk_by(|a, b| a.0 == b.0).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::string(same[0].0, out)?;
        out.push(b':');
        if let [(_, only)] = same {
            write_value(*only, out)?;
            continue;
        }
        for (index, (_, one)) in same.iter().enumerate() {
            out.push(if index == 0 { b'[' } else { b',' });
            write_value(*one, out)?;
        }
        out.push(b']');
    }
    out.push(b'}');
    Ok(())
}

fn write_value(value: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), Reason> {
    let Some(value) = value else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    let start = out.len();
    match json::string(value, out) {
        Err(Reason::Utf8 | Reason::Nul) => {
            out.truncate(start);
            out.extend_from_slice(b"{\"base64\":");
            json::string(BASE64.encode(value).as_bytes(), out)?;
            out.push(b'}');
            Ok(())
        }
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_of(headers: &[(&str, Option<&[u8]>)]) -> Result<String, Reason> {
        let mut block = Vec::new();
        for (name, value) in headers {
            push(&mut block, name, *value);
        }
        let mut out = Vec::new();
        write(&block, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn headers_are_an_object_of_texts() {
        assert_eq!(json_of(&[]).unwrap(), "");
        let json = json_of(&[
            ("trace", Some(b"00-af\"1")),
            ("b", Some(b"2")),
            ("a", None),
            ("b", Some(b"1")),
            ("", Some(b"")),
            ("raw", Some(&[0xFF, 0])),
        ]);
        assert_eq!(
            json.unwrap(),
            r#"{"":"","a":null,"b":["2","1"],"raw":{"base64":"/wA="},"trace":"00-af\"1"}"#
        );
    }

    #[test]
    fn what_no_text_of_super_holds_is_refused() {
        let long = "x".repeat(65_536);
        assert_eq!(json_of(&[("a", Some(long.as_bytes()))]), Err(Reason::JsonBytes(65_536)));
        assert_eq!(json_of(&[("a\0", Some(b""))]), Err(Reason::Nul));
    }

    #[test]
    fn a_block_that_is_cut_short_ends_there() {
        let mut block = Vec::new();
        push(&mut block, "a", Some(b"1"));
        push(&mut block, "b", Some(b"2"));
        for end in 0..block.len() {
            let mut out = Vec::new();
            write(&block[..end], &mut out).unwrap();
            assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok() || out.is_empty());
        }
    }
}
