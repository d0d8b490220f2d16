//! Compression of objects with pooled contexts: an open object takes one only once it has something worth compressing, so that
//! thousands of slow partitions cost no contexts.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use common::claim::Compression;
use flate2::{Compress, Crc, FlushCompress, Status};
use zstd::stream::raw::{Encoder as Zstd, InBuffer, Operation, OutBuffer};

/// Room that is made in the output at a time.
const OUTPUT_STEP: usize = 128 * 1024;
/// Gzip header without name and time: equal input gives equal bytes, on which the object's name rests.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// A compression context. After [`Compressor::finish`] it is ready for the next object.
pub struct Compressor {
    codec: Codec,
}

enum Codec {
    Zstd(Zstd<'static>),
    Gzip { deflate: Compress, crc: Crc },
}

impl Compressor {
    /// A new context.
    ///
    /// # Errors
    /// When the library cannot allocate it.
    pub fn new(compression: Compression, level: i32) -> io::Result<Compressor> {
        let codec = match compression {
            Compression::Zstd => Codec::Zstd(Zstd::new(level)?),
            Compression::Gzip => {
                let level = flate2::Compression::new(level.clamp(1, 9).unsigned_abs());
                Codec::Gzip {
                    deflate: Compress::new(level, false),
                    crc: Crc::new(),
                }
            }
        };
        Ok(Compressor { codec })
    }

    /// Compresses `input` to the end of `output`.
    ///
    /// # Errors
    /// When the library fails, which it does only for want of memory.
    pub fn write(&mut self, input: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.codec {
            Codec::Zstd(zstd) => {
                let mut input = InBuffer::around(input);
                while input.pos() < input.src.len() {
                    append(output, |room| {
                        let mut out = OutBuffer::around(room);
                        zstd.run(&mut input, &mut out)?;
                        Ok(out.pos())
                    })?;
                }
            }
            Codec::Gzip { deflate, crc } => {
                if crc.amount() == 0 && deflate.total_in() == 0 {
                    output.extend_from_slice(&GZIP_HEADER);
                }
                crc.update(input);
                let before = deflate.total_in();
                while deflate.total_in() - before < input.len() as u64 {
                    let done = usize::try_from(deflate.total_in() - before).unwrap_or(usize::MAX);
                    deflate_some(deflate, &input[done..], output, FlushCompress::None)?;
                }
            }
        }
        Ok(())
    }

    /// Ends the object: one frame, one member.
    ///
    /// # Errors
    /// See [`Compressor::write`].
    pub fn finish(&mut self, output: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.codec {
            Codec::Zstd(zstd) => {
                let mut left = 1;
                while left > 0 {
                    append(output, |room| {
                        let mut out = OutBuffer::around(room);
                        left = zstd.finish(&mut out, true)?;
                        Ok(out.pos())
                    })?;
                }
                zstd.reinit()
            }
            Codec::Gzip { deflate, crc } => {
                if crc.amount() == 0 && deflate.total_in() == 0 {
                    output.extend_from_slice(&GZIP_HEADER);
                }
                while deflate_some(deflate, &[], output, FlushCompress::Finish)? != Status::StreamEnd {}
                output.extend_from_slice(&crc.sum().to_le_bytes());
                output.extend_from_slice(&crc.amount().to_le_bytes());
                deflate.reset();
                crc.reset();
                Ok(())
            }
        }
    }
}

/// Lets `fill` write behind the end of `output` and keeps what it wrote.
fn append(output: &mut Vec<u8>, fill: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<()> {
    let end = output.len();
    output.resize(end + OUTPUT_STEP, 0);
    let written = fill(&mut output[end..])?;
    output.truncate(end + written);
    Ok(())
}

fn deflate_some(
    deflate: &mut Compress,
    input: &[u8],
    output: &mut Vec<u8>,
    flush: FlushCompress,
) -> io::Result<Status> {
    let mut status = Status::Ok;
    append(output, |room| {
        let before = deflate.total_out();
        status = deflate.compress(input, room, flush).map_err(io::Error::other)?;
        Ok(usize::try_from(deflate.total_out() - before).unwrap_or(usize::MAX))
    })?;
    Ok(status)
}

/// Contexts that are not in use, and how many may be.
#[derive(Clone)]
pub struct Pool {
    compression: Compression,
    level: i32,
    shelf: Arc<Mutex<Shelf>>,
}

struct Shelf {
    idle: Vec<Compressor>,
    /// Contexts that may still be made.
    left: usize,
}

impl Pool {
    /// A pool of at most `limit` contexts, made when first needed.
    #[must_use]
    pub fn new(compression: Compression, level: i32, limit: usize) -> Pool {
        Pool {
            compression,
            level,
            shelf: Arc::new(Mutex::new(Shelf {
                idle: Vec::new(),
                left: limit,
            })),
        }
    }

    /// What it compresses to.
    #[must_use]
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// A context beyond the limit, for an encoder's own use.
    ///
    /// # Errors
    /// When the library cannot allocate it.
    pub fn own(&self) -> io::Result<Compressor> {
        Compressor::new(self.compression, self.level)
    }

    /// A context, unless all are in use.
    ///
    /// # Errors
    /// When the library cannot allocate one.
    pub fn take(&self) -> io::Result<Option<Compressor>> {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compressor) = shelf.idle.pop() {
            return Ok(Some(compressor));
        }
        if shelf.left == 0 {
            return Ok(None);
        }
        shelf.left -= 1;
        drop(shelf);
        self.own().map(Some)
    }

    /// Puts a context back. It must be between two objects.
    pub fn put_back(&self, compressor: Compressor) {
        self.shelf
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .idle
            .push(compressor);
    }

    /// Notes that a context that was taken is gone: it was in the middle of an object that nobody wants any more.
    pub fn lost(&self) {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner).left += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn text(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed;
        (0..length)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                b"abcdefgh,\n\"0123"[(state >> 60) as usize % 15]
            })
            .collect()
    }

    fn unpack(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        match compression {
            // One frame, one member: a reader that stops at the first must see everything.
            Compression::Zstd => zstd::stream::read::Decoder::new(bytes)
                .unwrap()
                .single_frame()
                .read_to_end(&mut text)
                .unwrap(),
            Compression::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut text).unwrap(),
        };
        text
    }

    #[test]
    fn one_context_serves_many_objects_each_one_frame_and_always_the_same_bytes() {
        for compression in [Compression::Zstd, Compression::Gzip] {
            let mut compressor = Compressor::new(compression, 1).unwrap();
            let mut first_time = Vec::new();
            for round in 0..2 {
                for (index, length) in [0, 1, 70_000, 1_000_000].into_iter().enumerate() {
                    let input = text(length as u64, length);
                    let mut output = Vec::new();
                    for part in input.chunks(99_991) {
                        compressor.write(part, &mut output).unwrap();
                    }
                    compressor.finish(&mut output).unwrap();
                    assert_eq!(unpack(compression, &output), input);
                    if round == 0 {
                        first_time.push(output);
                    } else {
                        assert_eq!(first_time[index], output);
                    }
                }
            }
        }
    }

    #[test]
    fn the_pool_gives_no_more_than_its_limit() {
        let pool = Pool::new(Compression::Zstd, 1, 1);
        let one = pool.take().unwrap().unwrap();
        assert!(pool.take().unwrap().is_none());
        pool.put_back(one);
        let again = pool.take().unwrap().unwrap();
        drop(again);
        pool.lost();
        assert!(pool.take().unwrap().is_some());
    }
}
