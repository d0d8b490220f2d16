//! The way to an encoder: control never waits, chunks do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
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
    receiver: Receiver<Work>,
    chunks: Arc<AtomicUsize>,
}

/// What an inbox holds.
pub enum Next {
    /// The oldest work.
    Work(Work),
    /// Nothing yet.
    Nothing,
    /// Nothing, and nobody is left who could send some.
    Ended,
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
    /// The next work, in the order in which it was sent, waiting for it at most so long.
    #[must_use]
    pub fn wait(&self, at_most: Duration) -> Next {
        match self.receiver.recv_timeout(at_most) {
            Ok(work) => self.take(work),
            Err(RecvTimeoutError::Timeout) => Next::Nothing,
            Err(RecvTimeoutError::Disconnected) => Next::Ended,
        }
    }

    /// The next work, if there is some now.
    #[must_use]
    pub fn look(&self) -> Next {
        match self.receiver.try_recv() {
            Ok(work) => self.take(work),
            Err(TryRecvError::Empty) => Next::Nothing,
            Err(TryRecvError::Disconnected) => Next::Ended,
        }
    }

    fn take(&self, work: Work) -> Next {
        if matches!(work, Work::Chunk(_)) {
            self.chunks.fetch_sub(1, Ordering::AcqRel);
        }
        Next::Work(work)
    }
}
