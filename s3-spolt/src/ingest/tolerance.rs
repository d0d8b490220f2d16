//! How many bad records a lineage sets aside before it halts instead (protocol failure 48: neither lost nor fatal, but not without end).

/// The length of the window, in milliseconds.
pub const WINDOW_MS: i64 = 3_600_000;

/// Counts the records that a lineage set aside in the present hour. A process that starts anew counts anew.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    max: u32,
    window_ms: Option<i64>,
    count: u32,
}

impl Tolerance {
    /// At most `max` records an hour; none if 0.
    #[must_use]
    pub fn new(max: u32) -> Tolerance {
        Tolerance {
            max,
            window_ms: None,
            count: 0,
        }
    }

    /// Whether one more may be set aside, which is counted if so. `now_ms` is of a clock that never jumps.
    pub fn allows(&mut self, now_ms: i64) -> bool {
        if self.window_ms.is_none_or(|began| now_ms - began >= WINDOW_MS) {
            self.window_ms = Some(now_ms);
            self.count = 0;
        }
        let allowed = self.count < self.max;
        self.count += u32::from(allowed);
        allowed
    }

    /// The limit.
    #[must_use]
    pub fn max(&self) -> u32 {
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_an_hour_and_no_more() {
        let mut tolerance = Tolerance::new(2);
        assert!(tolerance.allows(10) && tolerance.allows(20) && !tolerance.allows(30));
        assert!(!tolerance.allows(9 + WINDOW_MS));
        assert!(tolerance.allows(10 + WINDOW_MS));
        assert!(!Tolerance::new(0).allows(0));
    }
}
