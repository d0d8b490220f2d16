//! Frames: one byte of kind, four bytes of length (which count themselves), a body.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Largest frame accepted: SQL text may have 16 MB (redshift.md 2.3) and a row of results more.
pub const FRAME_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How much is read from a socket at once.
const READ_BYTES: usize = 64 * 1024;

/// One frame.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The kind byte; 0 for the frames of the start-up, which have none.
    pub kind: u8,
    /// The body without kind and length.
    pub body: Bytes,
}

/// Reads frames from a socket. Cancelling a read loses nothing: bytes stay in the buffer.
#[derive(Debug)]
pub struct FrameReader<R> {
    source: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads from `source`.
    pub fn new(source: R) -> Self {
        Self {
            source,
            buffer: BytesMut::with_capacity(READ_BYTES),
        }
    }

    /// The next frame; nothing when the other side closed between two frames.
    ///
    /// # Errors
    /// A broken connection or a frame that cannot be.
    pub async fn frame(&mut self) -> io::Result<Option<Frame>> {
        self.read(1).await
    }

    /// The next frame of the start-up, which has no kind byte.
    ///
    /// # Errors
    /// As [`FrameReader::frame`].
    pub async fn startup_frame(&mut self) -> io::Result<Option<Frame>> {
        self.read(0).await
    }

    async fn read(&mut self, kind_bytes: usize) -> io::Result<Option<Frame>> {
        loop {
            if self.buffer.len() >= kind_bytes + 4 {
                let length = (&self.buffer[kind_bytes..kind_bytes + 4]).get_u32() as usize;
                if !(4..=FRAME_BYTES_MAX).contains(&length) {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!("frame of `{length}` bytes"),
                    ));
                }
                if self.buffer.len() >= kind_bytes + length {
                    let mut whole = self.buffer.split_to(kind_bytes + length).freeze();
                    let kind = if kind_bytes == 1 { whole[0] } else { 0 };
                    whole.advance(kind_bytes + 4);
                    return Ok(Some(Frame { kind, body: whole }));
                }
                self.buffer.reserve(kind_bytes + length - self.buffer.len());
            }
            self.buffer.reserve(READ_BYTES);
            if self.source.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }
}

/// Appends a frame.
pub fn put_frame(out: &mut BytesMut, kind: u8, body: &[u8]) {
    out.reserve(5 + body.len());
    out.put_u8(kind);
    out.put_u32(u32::try_from(body.len() + 4).expect("invariant: bodies are far below 4 GB, see FRAME_BYTES_MAX"));
    out.put_slice(body);
}

/// Appends a frame whose body is one string.
pub fn put_text(out: &mut BytesMut, kind: u8, text: &str) {
    let mut body = Vec::with_capacity(text.len() + 1);
    body.extend_from_slice(text.as_bytes());
    body.push(0);
    put_frame(out, kind, &body);
}

/// Takes a string up to its zero byte off the front of `body`.
pub fn take_text(body: &mut Bytes) -> Option<String> {
    let end = body.iter().position(|byte| *byte == 0)?;
    let text = String::from_utf8_lossy(&body.split_to(end)).into_owned();
    body.advance(1);
    Some(text)
}
