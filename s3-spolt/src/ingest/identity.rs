//! Whether a topic is still the one that its claims were made about (protocol rule 12).

use common::failure::Failure;
use common::ids::Offset;

use super::machine::Facts;
use super::resume::Resume;

/// What no longer fits between a lineage's claims and its topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Mismatch {
    /// The name is there, but the topic behind it is another one.
    Recreated {
        /// The topic id that the claims state.
        claimed: String,
        /// The topic id now.
        present: String,
    },
    /// Retention, or somebody, deleted records that were not claimed: `pos..log_start` cannot be read any more.
    Hole {
        /// First offset that is not claimed.
        pos: Offset,
        /// First offset that exists.
        log_start: Offset,
    },
    /// The topic ends before what was already claimed.
    Shorter {
        /// First offset that is not claimed.
        pos: Offset,
        /// Where the topic ends.
        end: Offset,
    },
    /// The last claimed record is another one now.
    Changed {
        /// Its offset.
        offset: Offset,
        /// The fingerprint that was claimed.
        claimed: u32,
        /// The fingerprint of what is there.
        present: u32,
    },
}

impl Mismatch {
    /// First half of rule 12: the topic is the same and still holds the position.
    #[must_use]
    pub fn of_bounds(resume: &Resume, facts: &Facts) -> Option<Mismatch> {
        if let (Some(claimed), Some(present)) = (&resume.topic_id, &facts.topic_id)
            && claimed != present
        {
            return Some(Mismatch::Recreated {
                claimed: claimed.clone(),
                present: present.clone(),
            });
        }
        let pos = resume.pos;
        if pos < facts.log_start {
            let log_start = facts.log_start;
            return Some(Mismatch::Hole { pos, log_start });
        }
        (pos > facts.end).then_some(Mismatch::Shorter { pos, end: facts.end })
    }

    /// The offset whose fingerprint decides the second half, if the record may still be there.
    #[must_use]
    pub fn witness(resume: &Resume, facts: &Facts) -> Option<Offset> {
        resume
            .tail
            .map(|tail| tail.offset)
            .filter(|offset| *offset >= facts.log_start)
    }

    /// Second half of rule 12: the last claimed record is the same. A record that is gone (`None`) shows nothing.
    #[must_use]
    pub fn of_tail(resume: &Resume, seen: Option<u32>) -> Option<Mismatch> {
        let (tail, present) = (resume.tail?, seen?);
        (tail.crc32c != present).then_some(Mismatch::Changed {
            offset: tail.offset,
            claimed: tail.crc32c,
            present,
        })
    }

    /// Why the lineage halts.
    #[must_use]
    pub fn failure(&self, pos: Offset) -> Failure {
        let failure = Failure::halt(self.to_string());
        match self {
            Mismatch::Recreated { .. } => failure.offset(pos).hint(
                "what was loaded belongs to the old topic; `s3-spolt reset TOPIC` shows how its new life would begin, and begins it with --apply",
            ),
            Mismatch::Hole { .. } => failure.offset(pos).hint(
                "retention has passed the position: raise retention.ms; `s3-spolt gap TOPIC --partition N` shows what is lost, and gives it up \
                 with --apply",
            ),
            Mismatch::Shorter { .. } => failure.offset(pos).hint(
                "the topic was recreated, or acknowledged records were lost by an unclean leader election; compare the topic with the \
                 warehouse, then see `s3-spolt reset TOPIC`",
            ),
            Mismatch::Changed { offset, .. } => failure.offset(*offset).hint(
                "the topic was recreated, or acknowledged records were lost by an unclean leader election; compare the topic with the \
                 warehouse, then see `s3-spolt reset TOPIC`",
            ),
        }
    }
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Mismatch::Recreated { claimed, present } => {
                write!(
                    f,
                    "the topic was recreated: its id was `{claimed}`, now it is `{present}`"
                )
            }
            Mismatch::Hole { log_start, .. } => write!(
                f,
                "records were deleted before they were read: the topic now begins at offset `{log_start}`"
            ),
            Mismatch::Shorter { end, .. } => {
                write!(f, "the topic ends at offset `{end}`, before what was already claimed")
            }
            Mismatch::Changed { claimed, present, .. } => write!(
                f,
                "the record at the end of the last claim has changed: fingerprint `{claimed:08x}` was claimed, `{present:08x}` is there now"
            ),
        }
    }
}
