//! Places before and after every external effect at which the drills make the process die, wait or fail (protocol.md section 7).
//!
//! Without the `drills` feature [`hit`] does nothing and costs nothing. With it, `SPOLT_FAILPOINTS` says what happens where, such as
//! `C8=kill;C20=pause:5000*2;C11=error`: die at C8, wait 5 s at the second hit of C20, fail at C11; and `SPOLT_MUTANTS` such as `M3,M9`
//! switches mutants on.

#[cfg(not(feature = "drills"))]
use common::failure::Failure;

/// Passes a named place.
///
/// # Errors
/// Only where a drill asks for it.
#[cfg(not(feature = "drills"))]
#[inline]
#[expect(clippy::unused_async, reason = "awaited like the one that drills use")]
pub async fn hit(_: &'static str) -> Result<(), Failure> {
    Ok(())
}

#[cfg(feature = "drills")]
pub use drills::{arm, hit};

#[cfg(feature = "drills")]
mod drills {
    use std::collections::HashMap;
    use std::sync::{Mutex, OnceLock, PoisonError};
    use std::time::Duration;

    use common::failure::Failure;
    use common::mutant::{self, Mutant};

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Deed {
        Kill,
        Pause(u64),
        Fail,
    }

    /// Name -> what happens there, and at which hit from now on.
    type Plan = HashMap<String, (Deed, u32)>;

    static PLAN: OnceLock<Mutex<Plan>> = OnceLock::new();

    /// Reads `SPOLT_FAILPOINTS` and `SPOLT_MUTANTS`.
    ///
    /// # Errors
    /// When one of them is not understood.
    pub fn arm() -> Result<(), Failure> {
        let plan = parse(&std::env::var("SPOLT_FAILPOINTS").unwrap_or_default())?;
        let _ = PLAN.set(Mutex::new(plan));
        let names = std::env::var("SPOLT_MUTANTS").unwrap_or_default();
        let mutants = names
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(|name| Mutant::named(name).ok_or_else(|| Failure::stop(format!("mutant `{name}` is not known"))));
        mutant::switch_on(&mutants.collect::<Result<Vec<Mutant>, Failure>>()?);
        Ok(())
    }

    fn parse(text: &str) -> Result<Plan, Failure> {
        let wrong = |item: &str| Failure::stop(format!("failpoint `{item}` is not understood"));
        text.split(';')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| {
                let (name, deed) = item.split_once('=').ok_or_else(|| wrong(item))?;
                let (deed, nth) = deed.split_once('*').unwrap_or((deed, "1"));
                let deed = match deed.split_once(':') {
                    None if deed == "kill" => Deed::Kill,
                    None if deed == "error" => Deed::Fail,
                    Some(("pause", millis)) => Deed::Pause(millis.parse().map_err(|_| wrong(item))?),
                    _ => return Err(wrong(item)),
                };
                Ok((name.to_owned(), (deed, nth.parse().map_err(|_| wrong(item))?)))
            })
            .collect()
    }

    /// Passes a named place.
    pub async fn hit(name: &'static str) -> Result<(), Failure> {
        match due(name) {
            None => Ok(()),
            // As kill -9 leaves it: no destructor, no flush.
            Some(Deed::Kill) => std::process::abort(),
            Some(Deed::Pause(millis)) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                Ok(())
            }
            Some(Deed::Fail) => Err(Failure::retry(format!("failpoint `{name}`"))),
        }
    }

    fn due(name: &str) -> Option<Deed> {
        let mut plan = PLAN.get()?.lock().unwrap_or_else(PoisonError::into_inner);
        let (deed, left) = plan.get_mut(name)?;
        *left -= 1;
        let deed = *deed;
        if *left > 0 {
            return None;
        }
        plan.remove(name);
        Some(deed)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_plan_is_read_and_struck_at_the_nth_hit() {
            let plan = parse("C8=kill; C20=pause:5000*2").unwrap();
            assert_eq!(plan["C8"], (Deed::Kill, 1));
            assert_eq!(plan["C20"], (Deed::Pause(5_000), 2));
            assert!(parse("C8=explode").is_err() && parse("C8").is_err());
            PLAN.set(Mutex::new(plan)).unwrap();
            assert_eq!(
                (due("C20"), due("C20"), due("C20")),
                (None, Some(Deed::Pause(5_000)), None)
            );
        }
    }
}
