//! Waiting for a condition with a deadline, instead of sleeping and hoping.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// How often a condition is asked for. Short enough that nobody waits for it, long enough that asking costs nothing.
pub const INTERVAL: Duration = Duration::from_millis(50);

/// Asks `probe` until it answers `Ok(Some(_))`.
///
/// # Errors
/// `deadline` has passed: the error names `what` and what the probe said last.
pub async fn until<T, F, Fut>(deadline: Duration, what: &str, mut probe: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let began = Instant::now();
    let mut last = None;
    loop {
        let left = deadline.saturating_sub(began.elapsed());
        match tokio::time::timeout(left, probe()).await {
            Ok(Ok(Some(found))) => return Ok(found),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => last = Some(format!("{error:#}")),
            Err(_) => last = last.or_else(|| Some("no answer".into())),
        }
        if began.elapsed() >= deadline {
            let last = last.map_or_else(String::new, |last| format!(": {last}"));
            return Err(anyhow!("waited `{}` s for {what}, in vain{last}", deadline.as_secs()));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn returns_what_the_probe_finds() {
        let mut left = 3;
        let found = until(Duration::from_secs(5), "the third try", || {
            left -= 1;
            let answer = (left == 0).then_some("here");
            async move { Ok(answer) }
        })
        .await
        .unwrap();
        assert_eq!(found, "here");
    }

    #[tokio::test]
    async fn says_what_it_waited_for_and_what_was_last_seen() {
        let error = until::<(), _, _>(Duration::from_millis(120), "a thing", || async {
            Err(anyhow!("not `there`"))
        })
        .await;
        let text = error.unwrap_err().to_string();
        assert!(text.contains("a thing") && text.contains("not `there`"), "{text}");
    }
}
