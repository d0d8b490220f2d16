//! As much of PostgreSQL's protocol as it takes to know a statement and the end of its answer.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::proxy::Request;

/// "Do you speak TLS?": comes before the start message, and the answer is a single byte.
const SSL_REQUEST: u32 = 80_877_103;

/// A message larger than this is none.
const MESSAGE_MAX: usize = 64 << 20;

/// Reads a message; before `started` it has no type.
pub(super) async fn read(from: &mut (impl AsyncRead + Unpin), started: &mut bool) -> io::Result<Request> {
    let mut bytes = Vec::with_capacity(64);
    if *started {
        bytes.push(from.read_u8().await?);
    }
    let length = from.read_u32().await?;
    let size = usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(4);
    if size > MESSAGE_MAX {
        return Err(io::Error::other("a message of impossible length"));
    }
    bytes.extend(length.to_be_bytes());
    let body = bytes.len();
    bytes.resize(body + size, 0);
    from.read_exact(&mut bytes[body..]).await?;
    if !*started {
        let code = bytes
            .get(4..8)
            .map(|code| u32::from_be_bytes([code[0], code[1], code[2], code[3]]));
        *started = code != Some(SSL_REQUEST);
        return Ok(other(bytes));
    }
    if bytes[0] != b'Q' {
        return Ok(other(bytes));
    }
    let description = String::from_utf8_lossy(&bytes[body..]).into_owned();
    Ok(Request {
        bytes,
        description,
        answered: true,
        tells_addresses: false,
    })
}

fn other(bytes: Vec<u8>) -> Request {
    Request {
        bytes,
        description: String::new(),
        answered: false,
        tells_addresses: false,
    }
}

/// Whether the server says at the end of these bytes that it is ready for the next statement.
pub(super) fn is_ready(answer: &[u8]) -> bool {
    let Some(end) = answer.len().checked_sub(6).map(|at| &answer[at..]) else {
        return false;
    };
    end[..5] == [b'Z', 0, 0, 0, 5]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn statements_are_read_after_the_start() {
        let mut bytes = vec![0, 0, 0, 8, 0, 3, 0, 0];
        bytes.extend(b"Q\0\0\0\x0bCOMMIT\0");
        let mut from = &bytes[..];
        let mut started = false;
        let start = read(&mut from, &mut started).await.unwrap();
        assert!(started && !start.answered);
        let statement = read(&mut from, &mut started).await.unwrap();
        assert!(statement.answered && statement.description.contains("COMMIT"));
        assert!(is_ready(b"C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05I") && !is_ready(b"C\0\0\0\x0bCOMMIT\0"));
    }
}
