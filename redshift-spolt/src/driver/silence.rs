//! Partitions of which nothing comes: idle, or the reader has stalled without a word (protocol.md section 10). Somebody else is asked which
//! it is, after a while and then once in it.

use std::collections::BTreeMap;

/// When something came of each partition last.
#[derive(Debug)]
pub struct Silence<K> {
    patience_ms: i64,
    heard_ms: BTreeMap<K, i64>,
    looked_ms: i64,
}

impl<K: Ord + Clone> Silence<K> {
    /// Nothing is listened to yet; times are milliseconds of a clock that never jumps.
    #[must_use]
    pub fn new(patience_ms: i64) -> Silence<K> {
        Silence {
            patience_ms,
            heard_ms: BTreeMap::new(),
            looked_ms: 0,
        }
    }

    /// Something came, or is listened to from now on.
    pub fn heard(&mut self, key: &K, now_ms: i64) {
        match self.heard_ms.get_mut(key) {
            Some(heard) => *heard = now_ms,
            None => drop(self.heard_ms.insert(key.clone(), now_ms)),
        }
    }

    /// It is listened to no more.
    pub fn forget(&mut self, key: &K) {
        self.heard_ms.remove(key);
    }

    /// What to ask about now. What is held back is silent for a reason, and its time begins when it is let go.
    pub fn suspects(&mut self, now_ms: i64, held: impl Fn(&K) -> bool) -> Vec<K> {
        if now_ms - self.looked_ms < self.patience_ms / 4 {
            return Vec::new();
        }
        self.looked_ms = now_ms;
        let mut suspects = Vec::new();
        for (key, heard) in &mut self.heard_ms {
            let is_held = held(key);
            let silent = now_ms - *heard >= self.patience_ms;
            if is_held || silent {
                *heard = now_ms;
            }
            if silent && !is_held {
                suspects.push(key.clone());
            }
        }
        suspects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_silent_for_long_is_asked_about_once_in_a_while() {
        let mut silence = Silence::new(100);
        for key in ["busy", "held", "idle", "gone"] {
            silence.heard(&key, 0);
        }
        silence.forget(&"gone");
        let held = |key: &&str| *key == "held";
        assert!(silence.suspects(99, held).is_empty());
        silence.heard(&"busy", 100);
        assert!(silence.suspects(101, held).is_empty(), "looked just now");
        assert_eq!(silence.suspects(130, held), ["idle"]);
        assert!(silence.suspects(170, held).is_empty(), "asked already");
        assert_eq!(silence.suspects(240, held), ["busy", "idle"]);
        // Let go at 240: its own time has begun there.
        assert!(silence.suspects(270, |_| false).is_empty());
        assert_eq!(silence.suspects(345, |_| false), ["busy", "held", "idle"]);
    }
}
