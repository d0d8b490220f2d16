//! What an answer of the warehouse means for the load (rule 18; redshift.md 8.5).

use common::failure::{Class, Failure};
use runtime::port::SqlFailure;

use super::machine::Outcome;
use super::statements::Purpose;

/// What a failed statement says about the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// It may succeed when everything is done again from the checkpoint: serialization, deadlock, lost connection, resources.
    Retry(Failure),
    /// COPY refused a value: look up where, then halt.
    BadData(Failure),
    /// It cannot succeed until somebody changes something about the claims' objects.
    Untrue(Failure),
    /// It cannot succeed until somebody changes something about the table or the rights.
    Halt(Failure),
}

impl Meaning {
    /// The failure itself.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        match self {
            Meaning::Retry(failure) | Meaning::BadData(failure) | Meaning::Untrue(failure) | Meaning::Halt(failure) => {
                failure
            }
        }
    }
}

impl Meaning {
    /// What the load comes to. Untrue objects and bad data are blamed on the lineage that brought them, once it is loaded alone.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        let separable = matches!(self, Meaning::BadData(_) | Meaning::Untrue(_));
        match self {
            Meaning::Retry(failure) => Outcome::Retry(failure),
            Meaning::BadData(failure) | Meaning::Untrue(failure) | Meaning::Halt(failure) => Outcome::Halt {
                failure,
                partition: None,
                separable,
            },
        }
    }
}

/// Reads what the warehouse answered to a statement.
#[must_use]
pub fn meaning(purpose: Option<Purpose>, answer: &SqlFailure) -> Meaning {
    let message = answer.message.to_lowercase();
    let said = |text: &str| message.contains(text);
    let phase = purpose.map_or("session", Purpose::phase);
    let told = |class: Class| Failure {
        class,
        ..Failure::halt(format!("{phase}: {answer}"))
    };
    let code = answer.code.as_deref();
    let Some(code) = code else {
        return Meaning::Retry(told(Class::Retry).hint("the outcome is unknown; the checkpoints decide"));
    };
    let passing = matches!(
        code,
        "40001" | "40P01" | "57014" | "57P01" | "57P02" | "57P03" | "25P02"
    ) || matches!(&code[..code.len().min(2)], "08" | "53" | "58")
        || said("1018")
        || message.trim() == "1023"
        || said("serializable isolation violation");
    if passing {
        let failure = told(Class::Retry);
        return Meaning::Retry(match code {
            "53100" => failure.hint("the cluster's disk is full; the load is made again until there is room"),
            _ => failure,
        });
    }
    if purpose == Some(Purpose::Copy) {
        return copy_meaning(answer, told);
    }
    match code {
        // Two loaders made the same table at once: IF NOT EXISTS does not exclude that.
        "23505" | "42P07" | "42710" => Meaning::Retry(told(Class::Retry)),
        // The state table is gone: dropped, or restored to before it was there. To read the state makes it anew.
        "42P01" if matches!(purpose, Some(Purpose::Lock | Purpose::ReadState)) => Meaning::Retry(told(Class::Retry)),
        "42501" => Meaning::Halt(told(Class::Halt).hint("`redshift-spolt check` says which right is missing")),
        "28000" | "28P01" | "3D000" => {
            Meaning::Halt(told(Class::Stop).hint("check [redshift_spolt.connection]: user, password and database"))
        }
        "2BP01" => Meaning::Halt(told(Class::Halt).hint(
            "something depends on a column that a wider one must take the place of: drop the view, let the load run, and make it again, WITH NO \
             SCHEMA BINDING if it shall not stand in the way once more",
        )),
        "3F000" => Meaning::Halt(told(Class::Halt).hint("create the schema, or set `create_schemas = true`")),
        _ if said("internal error") => Meaning::Retry(told(Class::Retry)),
        _ => Meaning::Halt(told(Class::Halt)),
    }
}

fn copy_meaning(answer: &SqlFailure, told: impl Fn(Class) -> Failure) -> Meaning {
    let message = answer.message.to_lowercase();
    let detail = answer.detail.as_deref().unwrap_or_default().to_lowercase();
    let said = |text: &str| message.contains(text) || detail.contains(text);
    if said("mandatory url") || said("nosuchkey") || said("does not exist") || said("not found") {
        return Meaning::Untrue(told(Class::Halt).hint(
            "an object that a claim names is missing from S3 (or lies in another region); nothing was loaded, and nothing is skipped. \
             if the warehouse was restored to a time before the garbage collector's horizon, restore a later snapshot or fill the table \
             from another target; else restore the object from a version or a replica. then restart",
        ));
    }
    if said("load into table") && said("failed") {
        return Meaning::BadData(told(Class::Halt));
    }
    if said("accessdenied")
        || said("access denied")
        || said("forbidden")
        || said("not authorized")
        || said("invalidaccesskeyid")
    {
        return Meaning::Halt(told(Class::Halt).hint(
            "COPY may not read the bucket: give the role or keys of [redshift_spolt.copy] s3:GetObject and s3:ListBucket on it",
        ));
    }
    if said("slowdown")
        || said("503")
        || said("throttl")
        || said("timeout")
        || said("timed out")
        || said("internalerror")
    {
        return Meaning::Retry(told(Class::Retry));
    }
    let generic = matches!(answer.code.as_deref(), Some("XX000"));
    if generic && said("internal error") {
        Meaning::Retry(told(Class::Retry))
    } else {
        Meaning::Halt(told(Class::Halt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: &str, message: &str) -> SqlFailure {
        SqlFailure {
            code: Some(code.into()),
            message: message.into(),
            detail: None,
        }
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        for (code, message) in [
            ("53100", "could not extend file: No space left on device"),
            ("XX000", "1023"),
            ("XX000", "could not open relation 1018"),
            ("40P01", "deadlock detected"),
            ("40001", "could not serialize access"),
            ("57P01", "terminating connection due to administrator command"),
        ] {
            assert!(
                matches!(
                    meaning(Some(Purpose::DeleteTarget), &answer(code, message)),
                    Meaning::Retry(_)
                ),
                "{code} {message}"
            );
        }
        let lost = SqlFailure {
            code: None,
            message: "connection closed".into(),
            detail: None,
        };
        assert!(matches!(meaning(Some(Purpose::Commit), &lost), Meaning::Retry(_)));
    }

    #[test]
    fn a_state_table_that_is_gone_is_made_anew_and_a_target_that_is_gone_halts() {
        let gone = answer("42P01", "relation \"spolt.shop__t__state\" does not exist");
        assert!(matches!(meaning(Some(Purpose::Lock), &gone), Meaning::Retry(_)));
        assert!(matches!(meaning(Some(Purpose::DeleteTarget), &gone), Meaning::Halt(_)));
    }

    #[test]
    fn what_cannot_pass_halts_with_a_hint() {
        let copy = |code, message| meaning(Some(Purpose::Copy), &answer(code, message));
        assert!(matches!(
            copy(
                "XX000",
                "Load into table 'spolt_stage' failed.  Check 'stl_load_errors' system table for details."
            ),
            Meaning::BadData(_)
        ));
        assert!(matches!(
            copy("XX000", "Mandatory url is not present in manifest file."),
            Meaning::Untrue(_)
        ));
        let Meaning::Halt(denied) = copy(
            "XX000",
            "S3ServiceException:Access Denied,Status 403,Error AccessDenied",
        ) else {
            panic!("access denied must halt");
        };
        assert!(denied.hint.unwrap().contains("s3:GetObject"));
        assert!(matches!(
            meaning(Some(Purpose::CreateTarget), &answer("42501", "permission denied")),
            Meaning::Halt(_)
        ));
    }
}
