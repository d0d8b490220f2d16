//! The matrix of what applies where, as text for people: generated from the points themselves.

use std::fmt::Write as _;

use super::points::{Cell, POINTS, Point};
use crate::drill::Deed;

/// The matrix as a Markdown table, and below it why each empty cell is empty.
#[must_use]
pub fn markdown() -> String {
    let mut text =
        String::from("| point | whose | what it is | kill | pause | cut | lost-ack |\n|---|---|---|---|---|---|---|\n");
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for point in POINTS {
        let _ = write!(text, "| {} | {} | {} |", point.id, point.role.name(), point.what);
        for deed in Deed::ALL {
            let _ = write!(text, " {} |", cell(point, deed, &mut reasons));
        }
        text.push('\n');
    }
    text.push_str("\nWhat does not apply, and why:\n\n");
    for (number, (reason, cells)) in (1..).zip(&reasons) {
        let _ = writeln!(text, "{number}. {reason} ({}).", cells.join(", "));
    }
    text
}

fn cell(point: &'static Point, deed: Deed, reasons: &mut Vec<(&'static str, Vec<String>)>) -> String {
    let means = match point.cell(deed) {
        Cell::No(reason) => {
            let name = format!("{}-{deed}", point.id);
            let at = reasons.iter().position(|(known, _)| *known == reason);
            let at = at.unwrap_or_else(|| {
                reasons.push((reason, Vec::new()));
                reasons.len() - 1
            });
            reasons[at].1.push(name);
            return format!("({})", at + 1);
        }
        Cell::At(..) => "failpoint",
        Cell::AfterLostPut(_) => "proxy, then failpoint",
        Cell::Fails(..) => "failing failpoint",
        Cell::Asked(_) => "proxy",
        Cell::AskedInRevoke(_) => "proxy, in a revoke",
        Cell::Anytime => "signal at any moment",
        Cell::Failover => "database process killed",
    };
    if point.quick == deed {
        format!("**{means}**")
    } else {
        means.to_owned()
    }
}
