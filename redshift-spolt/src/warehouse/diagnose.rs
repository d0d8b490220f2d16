//! Where a refused COPY found what it could not load: file, line, column, reason (redshift.md 1.7). The rows survive the ROLLBACK.

use common::failure::Failure;
use common::ids::Partition;
use runtime::port::{Answer, Session};

use crate::load::run::LoadPlan;
use crate::load::sql::{fill, timestamp};

/// How far back errors are looked for: the clocks of the cluster and of this machine need not agree.
const LOOK_BACK_MS: i64 = 24 * 3600 * 1000;

/// One load error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// The object, as far as the 256 characters of the system view show it.
    pub file: String,
    /// Line in it, from 1.
    pub line: String,
    /// Column of the stage.
    pub column: String,
    /// Code of redshift.md 1.7.
    pub code: String,
    /// What was wrong.
    pub reason: String,
    /// Type of the column.
    pub ty: String,
}

/// Asks `sys_load_error_detail`, and where that is not known `stl_load_errors`, for the newest error in an object of this load.
pub async fn find(session: &mut dyn Session, load: &LoadPlan, now_ms: i64) -> Option<LoadError> {
    let since = timestamp(now_ms - LOOK_BACK_MS);
    let queries = [
        include_str!("../../../sql/load_errors_sys.sql"),
        include_str!("../../../sql/load_errors_stl.sql"),
    ];
    for query in queries {
        if let Ok(answer) = session.run(&fill(query, &[("since", &since)])).await {
            let found = parse(&answer)
                .into_iter()
                .find(|error| partition(load, error).is_some());
            if found.is_some() {
                return found;
            }
        }
    }
    None
}

fn parse(answer: &Answer) -> Vec<LoadError> {
    let text =
        |row: &[Option<String>], index: usize| row.get(index).cloned().flatten().unwrap_or_default().trim().to_owned();
    let error = |row: &Vec<Option<String>>| {
        let length = text(row, 6);
        let ty = text(row, 5);
        LoadError {
            file: text(row, 0),
            line: text(row, 1),
            column: text(row, 2),
            code: text(row, 3),
            reason: text(row, 4),
            ty: if matches!(length.as_str(), "" | "0") {
                ty
            } else {
                format!("{ty}({length})")
            },
        }
    };
    answer.rows.iter().map(error).collect()
}

/// The lineage whose claim names the file.
#[must_use]
pub fn partition(load: &LoadPlan, error: &LoadError) -> Option<Partition> {
    load.groups.iter().flat_map(|group| &group.claims).find_map(|claim| {
        let object = claim.object.as_ref()?;
        let url = format!("s3://{}/{}", object.bucket, object.key);
        (!error.file.is_empty() && (url.starts_with(&error.file) || error.file.ends_with(&object.key)))
            .then_some(claim.partition)
    })
}

/// The failure that a load error makes.
#[must_use]
pub fn failure(error: &LoadError) -> Failure {
    Failure::halt(format!(
        "COPY refused line `{}`: `{}` (code {}, column type `{}`)",
        error.line, error.reason, error.code, error.ty
    ))
    .column(&error.column)
    .key(&error.file)
    .hint(
        "nothing of the claim was loaded and nothing is skipped; look at the line in the object. A value that the table cannot hold \
         is a defect of s3-spolt or of a column changed by hand",
    )
}
