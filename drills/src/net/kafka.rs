//! As much of Kafka's protocol as it takes to know a produce request, and to put the proxy's port where a broker tells its own.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::proxy::Request;

const PRODUCE: i16 = 0;
const METADATA: i16 = 3;
const FIND_COORDINATOR: i16 = 10;

/// A frame larger than this is no Kafka.
const FRAME_MAX: usize = 128 << 20;

/// How much of a produce request its description holds: client id, settings and the first topic's name lie before the records.
const DESCRIBED: usize = 512;

/// Reads a frame with its length.
pub(super) async fn frame(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await?;
    let size = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if size > FRAME_MAX {
        return Err(io::Error::other("a frame of impossible length"));
    }
    let mut bytes = vec![0; 4 + size];
    bytes[..4].copy_from_slice(&length);
    from.read_exact(&mut bytes[4..]).await?;
    Ok(bytes)
}

/// Reads a request.
pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Request> {
    let bytes = frame(from).await?;
    let api = bytes.get(4..6).map_or(-1, |api| i16::from_be_bytes([api[0], api[1]]));
    let description = if api == PRODUCE {
        let shown = &bytes[..bytes.len().min(DESCRIBED)];
        format!("produce {}", String::from_utf8_lossy(shown))
    } else {
        format!("api {api}")
    };
    Ok(Request {
        bytes,
        description,
        answered: true,
        tells_addresses: matches!(api, METADATA | FIND_COORDINATOR),
    })
}

/// Puts `own` in place of the port that follows the broker's host name. Both are four bytes, so nothing else moves.
pub(super) fn put_port(answer: &mut [u8], host: &str, theirs: u16, own: u16) {
    let mut needle = host.as_bytes().to_vec();
    needle.extend(u32::from(theirs).to_be_bytes());
    let mut at = 0;
    while let Some(found) = answer[at..].windows(needle.len()).position(|window| window == needle) {
        let end = at + found + needle.len();
        answer[end - 4..end].copy_from_slice(&u32::from(own).to_be_bytes());
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_behind_the_host_is_replaced_and_no_other() {
        let mut answer =
            b"..\x0a127.0.0.1\x00\x00\x23\x84\x00 127.0.0.2\x00\x00\x23\x84 127.0.0.1\x00\x00\x23\x84".to_vec();
        put_port(&mut answer, "127.0.0.1", 0x2384, 0x1234);
        assert_eq!(
            answer,
            b"..\x0a127.0.0.1\x00\x00\x12\x34\x00 127.0.0.2\x00\x00\x23\x84 127.0.0.1\x00\x00\x12\x34"
        );
    }

    #[tokio::test]
    async fn a_produce_request_is_known_by_its_topic() {
        let mut body = vec![0, 0, 0, 9, 0, 0, 0, 1];
        body.extend(b"..spolt.signals.x..");
        let mut bytes = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(&body);
        let request = read(&mut &bytes[..]).await.unwrap();
        assert!(request.description.starts_with("produce") && request.description.contains("spolt.signals.x"));
        assert_eq!(request.bytes, bytes);
    }
}
