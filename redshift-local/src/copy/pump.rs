//! The thread that turns objects into frames for PostgreSQL, while the next objects are being fetched.

use std::io::{self, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::sync::mpsc;

use super::field::Column;
use super::load_error::LoadError;
use super::rows::{RowReader, Sink};
use super::source::{Object, SourceError};
use crate::sql::copy_statement::{Compression, Format};

/// Rows are sent in frames of about this size: large enough to cost nothing, small enough to keep both sides busy.
const FRAME_BYTES: usize = 128 * 1024;
/// At most so many load errors are kept of one COPY that tolerates them.
const LOAD_ERRORS_MAX: usize = 1_000;

/// What a COPY needs to know about its rows.
#[derive(Debug, Clone)]
pub struct Job {
    /// Columns in the order of the fields.
    pub columns: Vec<Column>,
    /// Reading options.
    pub format: Format,
    /// Compression.
    pub compression: Compression,
    /// MAXERROR
    pub max_error: usize,
}

/// The first row of each object, to find the place of an error that PostgreSQL reports by row.
pub type Progress = Arc<Mutex<Vec<(u64, String)>>>;

/// How a pump ended.
#[derive(Debug)]
pub struct Pumped {
    /// Rows sent.
    pub rows: u64,
    /// Objects read.
    pub files: usize,
    /// Records left out or, if [`Pumped::is_failed`], the reason of the failure.
    pub errors: Vec<LoadError>,
    /// The errors reached MAXERROR.
    pub is_failed: bool,
    /// Nobody wanted the rows any more.
    pub is_abandoned: bool,
}

struct FrameSink {
    frames: mpsc::Sender<Bytes>,
    errors: Vec<LoadError>,
    errors_seen: usize,
    max_error: usize,
    is_failed: bool,
    is_abandoned: bool,
}

impl FrameSink {
    fn send(&mut self, buffer: &mut Vec<u8>) {
        if buffer.is_empty() {
            return;
        }
        let mut frame = BytesMut::with_capacity(buffer.len() + 5);
        frame.put_u8(b'd');
        frame.put_u32(u32::try_from(buffer.len() + 4).expect("invariant: a frame is a few records over 128 KiB"));
        frame.put_slice(buffer);
        buffer.clear();
        self.is_abandoned |= self.frames.blocking_send(frame.freeze()).is_err();
    }
}

impl Sink for FrameSink {
    fn rows(&mut self, buffer: &mut Vec<u8>) -> bool {
        if buffer.len() >= FRAME_BYTES {
            self.send(buffer);
        }
        !self.is_abandoned
    }

    fn mistake(&mut self, error: LoadError) -> bool {
        self.errors_seen += 1;
        if self.errors.len() < LOAD_ERRORS_MAX {
            self.errors.push(error);
        }
        // MAXERROR 0 and 1 both fail at the first error (redshift.md 1.6).
        self.is_failed |= self.errors_seen >= self.max_error.max(1);
        !self.is_failed
    }
}

/// Reads objects as they come until they end, fail or nobody wants the rows. Blocks: runs on a thread of its own.
///
/// # Errors
/// An object cannot be fetched or decompressed.
pub fn pump(
    job: &Job,
    mut objects: mpsc::Receiver<Result<Object, SourceError>>,
    frames: mpsc::Sender<Bytes>,
    progress: &Progress,
) -> Result<Pumped, SourceError> {
    let mut sink = FrameSink {
        frames,
        errors: Vec::new(),
        errors_seen: 0,
        max_error: job.max_error,
        is_failed: false,
        is_abandoned: false,
    };
    let mut reader = RowReader::new(&job.columns, &job.format);
    let mut files = 0;
    while let Some(object) = objects.blocking_recv() {
        let object = object?;
        files += 1;
        progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((reader.rows, object.url.clone()));
        let broken = |error: io::Error| SourceError::Unreadable {
            url: object.url.clone(),
            reason: error.to_string(),
        };
        let chunks = BufReader::with_capacity(
            64 * 1024,
            ChunkReader {
                chunks: object.chunks,
                current: Bytes::new(),
            },
        );
        let mut plain: Box<dyn Read> = match job.compression {
            Compression::None => Box::new(chunks),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(chunks)),
            Compression::Zstd => Box::new(zstd::Decoder::with_buffer(chunks).map_err(broken)?),
        };
        if !reader.object(&object.url, &mut *plain, &mut sink).map_err(broken)? {
            break;
        }
    }
    if !sink.is_failed {
        sink.send(&mut reader.out);
    }
    Ok(Pumped {
        rows: reader.rows,
        files,
        errors: sink.errors,
        is_failed: sink.is_failed,
        is_abandoned: sink.is_abandoned,
    })
}

/// Reads an object's chunks as they arrive.
struct ChunkReader {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                None => return Ok(0),
                Some(chunk) => self.current = chunk?,
            }
        }
        let count = self.current.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.current[..count]);
        self.current.advance(count);
        Ok(count)
    }
}
