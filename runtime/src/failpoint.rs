//! Places before and after every external effect at which the drills make the process die, wait or fail (protocol.md section 7).
//!
//! Without the `drills` feature [`hit`] does nothing and costs nothing. With it, `SPOLT_FAILPOINTS` says what happens where, such as
//! `C8=kill;C20=pause:5000*2;C12=error`: die at C8, wait 5 s at the second hit of C20, fail at C12; and `SPOLT_MUTANTS` such as `M3,M9`
//! switches mutants on. `stop` stops the whole process, as a virtual machine that pauses (heartbeats stop with it) until somebody sends
//! SIGCONT; `C19@journal=stop` means only what is done for a topic whose name contains `journal`; `hold` lets only the one task wait, until there is a file `C8.go` in the folder `SPOLT_FAILPOINTS_DIR`. Before a point does
//! its deed it leaves a file `C8.hit` there: the proof that it was reached.

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

/// Passes a named place on behalf of something that has a name of its own, such as a topic: a drill may mean that one alone.
///
/// # Errors
/// Only where a drill asks for it.
#[cfg(not(feature = "drills"))]
#[inline]
#[expect(clippy::unused_async, reason = "awaited like the one that drills use")]
pub async fn hit_for(_: &'static str, _: &str) -> Result<(), Failure> {
    Ok(())
}

#[cfg(feature = "drills")]
pub use drills::{arm, hit, hit_for};

#[cfg(feature = "drills")]
mod drills {
    use std::collections::HashMap;
    use std::path::PathBuf;
    use std::sync::{Mutex, OnceLock, PoisonError};
    use std::time::Duration;

    use common::failure::Failure;
    use common::mutant::{self, Mutant};
    use rustix::process::{Signal, getpid, kill_process};

    /// How soon a SIGSTOP to the own process has stopped all of its threads, on a busy machine, too.
    const STOPS_WITHIN: Duration = Duration::from_millis(50);

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Deed {
        Kill,
        Pause(u64),
        Stop,
        Hold,
        Fail,
    }

    /// How often a held task looks whether it may go on.
    const HOLD_LOOK: Duration = Duration::from_millis(20);

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
                    None if deed == "stop" => Deed::Stop,
                    None if deed == "hold" => Deed::Hold,
                    Some(("pause", millis)) => Deed::Pause(millis.parse().map_err(|_| wrong(item))?),
                    _ => return Err(wrong(item)),
                };
                Ok((name.to_owned(), (deed, nth.parse().map_err(|_| wrong(item))?)))
            })
            .collect()
    }

    /// Passes a named place.
    pub async fn hit(name: &'static str) -> Result<(), Failure> {
        hit_for(name, "").await
    }

    /// Passes a named place on behalf of something that has a name of its own.
    pub async fn hit_for(name: &'static str, whom: &str) -> Result<(), Failure> {
        let Some((name, deed)) = due(name, whom) else {
            return Ok(());
        };
        leave_word(&name);
        match deed {
            Deed::Kill => {
                send_self(Signal::KILL);
                // Nothing comes after SIGKILL; if it could not be sent, this is as near as it gets: no destructor, no flush.
                std::process::abort()
            }
            Deed::Pause(millis) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                Ok(())
            }
            Deed::Stop => {
                send_self(Signal::STOP);
                // The signal takes effect on any thread of the process first: this one must not get ahead meanwhile.
                std::thread::sleep(STOPS_WITHIN);
                Ok(())
            }
            Deed::Hold => {
                while let Some(folder) = folder()
                    && !folder.join(format!("{name}.go")).exists()
                {
                    tokio::time::sleep(HOLD_LOOK).await;
                }
                Ok(())
            }
            Deed::Fail => Err(Failure::retry(format!("failpoint `{name}`"))),
        }
    }

    fn send_self(signal: Signal) {
        let _ = kill_process(getpid(), signal);
    }

    fn folder() -> Option<PathBuf> {
        std::env::var_os("SPOLT_FAILPOINTS_DIR").map(PathBuf::from)
    }

    /// A drill that does not find this file counts its point as not reached, so a failure to write it is seen there.
    fn leave_word(name: &str) {
        if let Some(folder) = folder() {
            let _ = std::fs::write(folder.join(format!("{name}.hit")), std::process::id().to_string());
        }
    }

    /// The item of the plan that is due here, and its name.
    fn due(name: &str, whom: &str) -> Option<(String, Deed)> {
        let mut plan = PLAN.get()?.lock().unwrap_or_else(PoisonError::into_inner);
        let means = |item: &str| match item.split_once('@') {
            Some((place, part)) => place == name && whom.contains(part),
            None => item == name,
        };
        let item = plan.keys().find(|item| means(item))?.clone();
        let (deed, left) = plan.get_mut(&item)?;
        *left -= 1;
        let deed = *deed;
        if *left > 0 {
            return None;
        }
        plan.remove(&item);
        Some((item, deed))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_plan_is_read_and_struck_at_the_nth_hit() {
            let plan =
                parse("C8=kill; C20=pause:5000*2; C5=stop; C6=hold*3; C19@orders=kill; C25@journal=kill").unwrap();
            assert_eq!((plan["C5"], plan["C6"]), ((Deed::Stop, 1), (Deed::Hold, 3)));
            assert_eq!(plan["C8"], (Deed::Kill, 1));
            assert_eq!(plan["C20"], (Deed::Pause(5_000), 2));
            assert!(parse("C8=explode").is_err() && parse("C8").is_err());
            PLAN.set(Mutex::new(plan)).unwrap();
            let due = |name| due(name, "src.shop.orders").map(|(_, deed)| deed);
            assert_eq!(
                (due("C20"), due("C20"), due("C20")),
                (None, Some(Deed::Pause(5_000)), None)
            );
            assert_eq!((due("C19"), due("C25")), (Some(Deed::Kill), None));
        }
    }
}
