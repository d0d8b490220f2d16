//! What to do when memory runs short: one budget for the whole process, never one per partition (field.md L8).

/// Share of the configured memory that librdkafka's own fetch queue may take.
const FETCH_QUEUE_SHARE: u64 = 4;
/// From this share of the budget on, in percent, the largest open object is cut so that it can leave ...
const CUT_PERCENT: u64 = 60;
/// ... provided that open objects hold at least this share: where the memory waits for S3, smaller objects would not help.
const OPEN_PERCENT: u64 = 20;
/// From this share on, in percent, nothing more is taken from the fetch queue, whose own limit then stops the fetching.
const HOLD_PERCENT: u64 = 85;

/// How the configured memory is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Bytes for records on their way to the encoder, open objects and objects not yet acknowledged.
    pub objects: u64,
    /// Bytes for librdkafka's queue of fetched messages.
    pub fetch_queue: u64,
}

/// What the present use of memory asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Ease,
    /// Cut the largest open object.
    CutLargest,
    /// Read nothing until some memory is free.
    Hold,
    /// Both.
    CutLargestAndHold,
}

impl Budget {
    /// Divides the memory of the whole process, given in bytes.
    #[must_use]
    pub fn of(memory: u64) -> Budget {
        let fetch_queue = memory / FETCH_QUEUE_SHARE;
        Budget {
            objects: memory - fetch_queue,
            fetch_queue,
        }
    }

    /// Judges the bytes in use: all of them, and those of open objects among them.
    #[must_use]
    pub fn judge(&self, used: u64, open: u64) -> Verdict {
        let percent = |bytes: u64| bytes.saturating_mul(100) / self.objects.max(1);
        let cut = percent(used) >= CUT_PERCENT && percent(open) >= OPEN_PERCENT;
        let hold = percent(used) >= HOLD_PERCENT;
        match (cut, hold) {
            (false, false) => Verdict::Ease,
            (true, false) => Verdict::CutLargest,
            (false, true) => Verdict::Hold,
            (true, true) => Verdict::CutLargestAndHold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_cuts_before_it_holds_and_holds_before_it_is_full() {
        let budget = Budget::of(400 << 20);
        assert_eq!(budget.fetch_queue + budget.objects, 400 << 20);
        let judge = |used, open| budget.judge(budget.objects * used / 100, budget.objects * open / 100);
        assert_eq!(judge(0, 0), Verdict::Ease);
        assert_eq!(judge(70, 65), Verdict::CutLargest);
        assert_eq!(judge(90, 50), Verdict::CutLargestAndHold);
        assert_eq!(judge(200, 150), Verdict::CutLargestAndHold);
    }

    #[test]
    fn memory_that_waits_for_s3_is_not_cut_ever_smaller() {
        let budget = Budget::of(400 << 20);
        let judge = |used, open| budget.judge(budget.objects * used / 100, budget.objects * open / 100);
        assert_eq!(judge(70, 5), Verdict::Ease);
        assert_eq!(judge(90, 5), Verdict::Hold);
    }
}
