//! What is in the packets of MariaDB's protocol, as far as it is spoken here: the greeting, the login, and rows of text
//! (<https://mariadb.com/kb/en/clientserver-protocol/>).

use anyhow::{Context, Result, bail};

use crate::client::sql::Row;

/// Version of the protocol that every server speaks since 2003.
const PROTOCOL: u8 = 10;

/// What we can do: long flags, the protocol of 4.1, transactions, its way of logging in, and a login named by the plugin that checks it.
const CAPABILITIES: u32 = 0x0000_0004 | 0x0000_0200 | 0x0000_2000 | 0x0000_8000 | 0x0008_0000;

/// utf8mb4_general_ci.
const COLLATION: u8 = 45;

/// The way of logging in; without a password its answer is empty.
const PLUGIN: &[u8] = b"mysql_native_password\0";

const OK: u8 = 0x00;
const NULL: u8 = 0xfb;
const FILE_WANTED: u8 = 0xfb;
const END: u8 = 0xfe;
const REFUSED: u8 = 0xff;

/// What an answer to a statement begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is done and has no rows.
    Done,
    /// Rows of so many columns follow.
    Columns(usize),
}

/// Reads a packet from its beginning.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes).context("a packet ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    /// A number in one, three, four or nine bytes; none for the mark of NULL.
    fn number(&mut self) -> Result<Option<usize>> {
        let first = self.take(1)?[0];
        let more = match first {
            NULL => return Ok(None),
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            REFUSED => bail!("a length begins with `{first}`"),
            small => return Ok(Some(small.into())),
        };
        let mut bytes = [0; 8];
        bytes[..more].copy_from_slice(self.take(more)?);
        Ok(Some(usize::try_from(u64::from_le_bytes(bytes))?))
    }

    fn text(&mut self) -> Result<Option<String>> {
        let Some(length) = self.number()? else { return Ok(None) };
        let bytes = self.take(length)?.to_vec();
        String::from_utf8(bytes).map(Some).context("a text is no UTF-8")
    }
}

/// Fails unless a server greets by the protocol that is spoken here.
pub(super) fn greeting(packet: &[u8]) -> Result<()> {
    match packet.first() {
        Some(&PROTOCOL) => Ok(()),
        Some(&REFUSED) => bail!("{}", refusal(packet)),
        other => bail!("a greeting begins with `{other:?}`"),
    }
}

/// The login of a user without a password.
pub(super) fn login(user: &str) -> Vec<u8> {
    let longest = 1_u32 << 30;
    let mut packet = [CAPABILITIES.to_le_bytes(), longest.to_le_bytes()].concat();
    packet.push(COLLATION);
    packet.extend([0; 23]);
    packet.extend(user.as_bytes());
    // The end of the name, and an answer of no bytes.
    packet.extend([0, 0]);
    packet.extend(PLUGIN);
    packet
}

/// Fails unless the login was accepted.
pub(super) fn welcome(packet: &[u8]) -> Result<()> {
    match packet.first() {
        Some(&OK) => Ok(()),
        Some(&REFUSED) => bail!("{}", refusal(packet)),
        // Another way of logging in is asked for.
        other => bail!("a password is wanted (`{other:?}`)"),
    }
}

/// The first packet of an answer.
pub(super) fn answer(packet: &[u8]) -> Result<Answer> {
    match packet.first() {
        Some(&OK) => Ok(Answer::Done),
        Some(&REFUSED) => bail!("{}", refusal(packet)),
        Some(&FILE_WANTED) => bail!("a file of ours is wanted"),
        _ => {
            let columns = Reader(packet).number()?.context("a number of columns")?;
            Ok(Answer::Columns(columns))
        }
    }
}

/// A row of so many columns; none at the end of the rows.
pub(super) fn row(packet: &[u8], columns: usize) -> Result<Option<Row>> {
    match packet.first() {
        // A value as long as to begin with this byte makes a packet longer than any.
        Some(&END) if packet.len() < 9 => Ok(None),
        Some(&REFUSED) => bail!("{}", refusal(packet)),
        _ => {
            let mut reader = Reader(packet);
            (0..columns).map(|_| reader.text()).collect::<Result<Row>>().map(Some)
        }
    }
}

/// Number and message of a refusal; between them stand a mark and five characters of SQL's own number.
fn refusal(packet: &[u8]) -> String {
    let number = packet
        .get(1..3)
        .map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    let message = packet.get(3..).unwrap_or_default();
    let message = if message.first() == Some(&b'#') {
        message.get(6..).unwrap_or_default()
    } else {
        message
    };
    format!("{number}: {}", String::from_utf8_lossy(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_end_hold_null_and_texts_of_every_length() {
        let long = "x".repeat(70_000);
        let mut packet = vec![NULL, 0, 2];
        packet.extend(b"ab");
        packet.push(0xfd);
        packet.extend(&70_000_u32.to_le_bytes()[..3]);
        packet.extend(long.as_bytes());
        let wanted: Row = vec![None, Some(String::new()), Some("ab".into()), Some(long)];
        assert_eq!(row(&packet, 4).unwrap(), Some(wanted));
        assert_eq!(row(&[END, 0, 0, 2, 0], 4).unwrap(), None);
        assert!(row(&packet, 5).is_err());
        assert!(row(&[1, 0xff], 1).is_err());
    }

    #[test]
    fn a_refusal_is_told_with_its_number() {
        let refused = b"\xff\x7a\x04#42S02Table 'shop.x' doesn't exist";
        let said = answer(refused).unwrap_err().to_string();
        assert_eq!(said, "1146: Table 'shop.x' doesn't exist");
        assert!(greeting(refused).is_err() && welcome(refused).is_err() && row(refused, 1).is_err());
    }

    #[test]
    fn an_answer_is_done_or_has_columns() {
        assert_eq!(answer(&[OK, 1, 0, 2, 0, 0, 0]).unwrap(), Answer::Done);
        assert_eq!(answer(&[61]).unwrap(), Answer::Columns(61));
        assert!(welcome(&[END]).is_err());
    }
}
