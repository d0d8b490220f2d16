//! As much of HTTP/1.1 as it takes to know a request to the object store. The client sends one request at a time on a connection, with
//! the length of its body, so the first bytes that come back are the answer to it.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

use super::proxy::Request;

/// Heads larger than this are none.
const HEAD_MAX: usize = 64 * 1024;

/// Reads a request: its description is `PUT /bucket/key`.
pub(super) async fn read(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Request> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        let line = from.read_until(b'\n', &mut bytes).await?;
        if line == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if bytes.ends_with(b"\r\n\r\n") {
            break;
        }
        if bytes.len() > HEAD_MAX {
            return Err(io::Error::other("a head of impossible length"));
        }
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let description = first.rsplit_once(' ').map_or(first, |(request, _)| request).to_owned();
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .unwrap_or(0);
    let body = bytes.len();
    bytes.resize(body + length, 0);
    from.read_exact(&mut bytes[body..]).await?;
    Ok(Request {
        bytes,
        description,
        answered: true,
        tells_addresses: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_is_read_with_its_body() {
        let bytes = b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n";
        let mut from = &bytes[..];
        let put = read(&mut from).await.unwrap();
        assert_eq!(put.description, "PUT /b/k");
        assert!(put.bytes.ends_with(b"abc"));
        assert_eq!(read(&mut from).await.unwrap().description, "GET /");
    }
}
