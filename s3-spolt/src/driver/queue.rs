//! The way to an encoder: control never waits, chunks do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::chunk::Chunk;
use super::encode::Work;

/// Chunks that wait for one encoder: enough to keep it busy while the polling thread waits for the network, at 128 KiB each.
pub const ENCODER_QUEUE: usize = 64;
/// How often the polling thread looks whether there is room again.
const LOOK: Duration = Duration::from_micros(200);

/// The sending side.
#[derive(Clone)]
pub struct Queue {
    sender: Sender<Work>,
    chunks: Arc<AtomicUsize>,
}

/// The receiving side.
pub struct Inbox {
    /// Work in the order in which it was sent.
    pub receiver: Receiver<Work>,
    chunks: Arc<AtomicUsize>,
}

/// A queue and its inbox.
#[must_use]
pub fn queue() -> (Queue, Inbox) {
    let (sender, receiver) = channel();
    let chunks = Arc::new(AtomicUsize::new(0));
    (
        Queue {
            sender,
            chunks: chunks.clone(),
        },
        Inbox { receiver, chunks },
    )
}

impl Queue {
    /// Sends control work at once. A few entries per lineage can wait at most, so it has no limit of its own.
    pub fn tell(&self, work: Work) {
        // The receiver is gone only when the process ends.
        let _ = self.sender.send(work);
    }

    /// Sends a chunk, waiting for room: that is what slows the fetching down to the encoding.
    pub fn hand_over(&self, chunk: Chunk) {
        while self.chunks.load(Ordering::Acquire) >= ENCODER_QUEUE {
            std::thread::sleep(LOOK);
        }
        self.chunks.fetch_add(1, Ordering::AcqRel);
        self.tell(Work::Chunk(chunk));
    }
}

impl Inbox {
    /// Notes that a chunk was taken out.
    pub fn took_chunk(&self) {
        self.chunks.fetch_sub(1, Ordering::AcqRel);
    }
}
