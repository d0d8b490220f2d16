//! What the user sees while something takes time: bars on a terminal, calm plain lines elsewhere. Every step says what it does
//! and how far it is.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// A plain line about one step comes at most this often: a log of a 40 s download is then eight lines, not hundreds.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// How often a bar moves on its own, so that a terminal shows life while nothing is counted.
const TICK: Duration = Duration::from_millis(120);

/// Where progress goes. Cheap to clone; all clones write to one place.
#[derive(Clone)]
pub struct Progress {
    sink: Arc<Sink>,
}

enum Sink {
    Bars(MultiProgress),
    Lines { since: Instant },
    Silent,
}

impl Progress {
    /// Bars if standard error is a terminal, plain lines otherwise.
    #[must_use]
    pub fn detect() -> Self {
        let terminal = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let sink = if terminal {
            Sink::Bars(MultiProgress::new())
        } else {
            Sink::Lines { since: Instant::now() }
        };
        Self { sink: Arc::new(sink) }
    }

    /// Says nothing: for stacks inside tests.
    #[must_use]
    pub fn silent() -> Self {
        Self {
            sink: Arc::new(Sink::Silent),
        }
    }

    /// One line that stays.
    pub fn note(&self, text: impl AsRef<str>) {
        match &*self.sink {
            Sink::Bars(bars) => {
                // A line that cannot be shown (closed terminal) is no reason to stop the work it tells of.
                let _ = bars.println(text.as_ref());
            }
            Sink::Lines { since } => plain(*since, text.as_ref()),
            Sink::Silent => {}
        }
    }

    /// Runs `print` while no bar is drawn, so that what it prints to standard output is not overwritten.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        match &*self.sink {
            Sink::Bars(bars) => bars.suspend(print),
            Sink::Lines { .. } | Sink::Silent => print(),
        }
    }

    /// Begins a step. It ends with [`Step::done`] or [`Step::failed`].
    #[must_use]
    pub fn step(&self, what: impl Into<String>) -> Step {
        let what = what.into();
        let bar = match &*self.sink {
            Sink::Bars(bars) => {
                let bar = bars.add(ProgressBar::new_spinner());
                bar.set_style(spinner());
                bar.set_message(what.clone());
                bar.enable_steady_tick(TICK);
                Some(bar)
            }
            Sink::Lines { since } => {
                plain(*since, &format!("{what} ..."));
                None
            }
            Sink::Silent => None,
        };
        Step {
            sink: Arc::clone(&self.sink),
            what,
            bar,
            began: Instant::now(),
            last_line: Mutex::new(Instant::now()),
        }
    }
}

/// One piece of work under way.
pub struct Step {
    sink: Arc<Sink>,
    what: String,
    bar: Option<ProgressBar>,
    began: Instant,
    last_line: Mutex<Instant>,
}

impl Step {
    /// How far the step is, where the end is known; `detail` names what is counted.
    pub fn at(&self, position: u64, length: u64, detail: impl AsRef<str>) {
        let length = length.max(position);
        if let Some(bar) = &self.bar {
            if bar.length() != Some(length) {
                bar.set_style(counted());
                bar.set_length(length);
            }
            bar.set_position(position);
            bar.set_message(format!("{}: {}", self.what, detail.as_ref()));
        }
        let percent = (position * 100).checked_div(length).unwrap_or(0);
        self.line(&format!("{percent} %, {}", detail.as_ref()));
    }

    /// What the step does now, where no end is known.
    pub fn say(&self, detail: impl AsRef<str>) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: {}", self.what, detail.as_ref()));
        }
        self.line(detail.as_ref());
    }

    /// The step has ended well.
    pub fn done(self, detail: impl AsRef<str>) {
        self.end("done", detail.as_ref());
    }

    /// The step has failed; the error itself is the caller's to report.
    pub fn failed(self, detail: impl AsRef<str>) {
        self.end("FAILED", detail.as_ref());
    }

    fn end(&self, word: &str, detail: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        let comma = if detail.is_empty() { "" } else { ", " };
        let text = format!("{}: {word} in {seconds:.1} s{comma}{detail}", self.what);
        match &*self.sink {
            Sink::Bars(bars) => {
                if let Some(bar) = &self.bar {
                    bar.finish_and_clear();
                }
                let _ = bars.println(text);
            }
            Sink::Lines { since } => plain(*since, &text),
            Sink::Silent => {}
        }
    }

    fn line(&self, detail: &str) {
        if let Sink::Lines { since } = &*self.sink {
            let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
            if last.elapsed() >= PLAIN_INTERVAL {
                *last = Instant::now();
                plain(*since, &format!("{}: {detail}", self.what));
            }
        }
    }
}

fn plain(since: Instant, text: &str) {
    eprintln!("[{:>6.1} s] {text}", since.elapsed().as_secs_f64());
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}")
        .expect("invariant: the template is constant and valid")
}

fn counted() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {elapsed:>4} [{bar:24}] {percent:>3}% {wide_msg}")
        .expect("invariant: the template is constant and valid")
        .progress_chars("=> ")
}

/// `1234567` as `1,234,567`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as whole megabytes.
#[must_use]
pub fn megabytes(bytes: u64) -> String {
    format!("{} MB", thousands(bytes / 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_digits_by_three() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000), "1,000");
        assert_eq!(thousands(1_018_337), "1,018,337");
    }
}
