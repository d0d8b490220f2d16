//! What a target and its records set aside must hold, change by change: the judge of [`crate::sheet`].

use std::collections::BTreeMap;

use redshift_spolt::load::mode::{DELETED, IS_CURRENT, Mode, VALID_FROM, VALID_TO};

use crate::records::{KEY, Row, VALUE, Value, number_of, time};
use crate::sheet::{Cells, Sheet};
use common::ids::Offset;

/// Name of the law about records set aside (rule 27).
pub const REPLAY: &str = "rule 27 replay";

/// Something that lies below a checkpoint, in order of life and offset.
#[derive(Debug, Clone)]
pub enum Due {
    /// A row of a record.
    Row(Row),
    /// All rows go.
    Truncate {
        /// Life of the topic.
        life: u32,
        /// Its offset.
        offset: Offset,
    },
    /// A record that was set aside.
    Bad {
        /// Life of the topic.
        life: u32,
        /// Its offset.
        offset: Offset,
        /// The rows that it makes when it is mended.
        mended: Vec<Row>,
    },
}

/// A row of a target as far as its mode shows it: who wrote it last, its value, and what the mode adds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Shown {
    key: u8,
    origin: (u32, Offset, u16),
    value: Option<i64>,
    /// Soft delete: it is deleted. History: it holds.
    flag: bool,
    /// Changelog: a delete, and what it leaves out.
    change: Option<(bool, bool)>,
    /// History: times from and to which it holds.
    times: Option<(String, Option<String>)>,
}

/// A record set aside: its place, its status, and whether its key is known.
type Statuses = Vec<((u32, Offset), String, bool)>;

/// What is wrong with a sheet of which all of `due` is applied, and nothing else.
#[must_use]
pub fn wrong(sheet: &Sheet, mode: Mode, due: &[Due]) -> Option<(&'static str, String)> {
    let statuses: Statuses = sheet
        .aside
        .lines()
        .map(|line| {
            let number = |name: &str| line.number(name).unwrap_or(-1);
            let life = u32::try_from(number("_kafka_incarnation")).unwrap_or(u32::MAX);
            let place = (life, Offset(number("_kafka_offset")));
            let status = line.text("_kafka_status").unwrap_or_default().to_owned();
            (place, status, line.number(KEY).is_some())
        })
        .collect();
    let law = if mode.is_keyed() { "I6 order" } else { "I4 exactly once" };
    kept_once(&statuses, due)
        .map(|evidence| ("I4 exactly once", evidence))
        .or_else(|| rows(sheet, mode, due, &statuses).map(|evidence| (law, evidence)))
        .or_else(|| too_late(&statuses, mode, due).map(|evidence| (REPLAY, evidence)))
}

/// Every bad record below the checkpoint is set aside once, and no other.
fn kept_once(statuses: &Statuses, due: &[Due]) -> Option<String> {
    let bad = due.iter().filter_map(|due| match due {
        Due::Bad { life, offset, .. } => Some((*life, *offset)),
        _ => None,
    });
    let times = |place| statuses.iter().filter(|(other, ..)| *other == place).count();
    if let Some((place, count)) = bad.clone().map(|place| (place, times(place))).find(|(_, n)| *n != 1) {
        return Some(format!(
            "the record at offset `{}` was set aside {count} times",
            place.1
        ));
    }
    let stray = statuses
        .iter()
        .find(|(place, ..)| bad.clone().all(|other| other != *place));
    stray.map(|(place, ..)| format!("offset `{}` is set aside, and not below the checkpoint", place.1))
}

fn status(statuses: &Statuses, place: (u32, Offset)) -> &str {
    let found = statuses.iter().find(|(other, ..)| *other == place);
    found.map_or("", |(_, status, _)| status)
}

/// The rows of `due` that are applied: of a bad record those that were replayed, in the record's own place.
fn applied<'a>(due: &'a Due, statuses: &Statuses) -> &'a [Row] {
    match due {
        Due::Row(row) => std::slice::from_ref(row),
        Due::Truncate { .. } => &[],
        Due::Bad { life, offset, mended } if status(statuses, (*life, *offset)) == "replayed" => mended,
        Due::Bad { .. } => &[],
    }
}

/// A record is open where nothing came after it, and superseded only where something did.
fn too_late(statuses: &Statuses, mode: Mode, due: &[Due]) -> Option<String> {
    due.iter().enumerate().find_map(|(index, one)| {
        let Due::Bad { life, offset, mended } = one else {
            return None;
        };
        let later = due[index + 1..].iter().any(|later| {
            let truncates = matches!(later, Due::Truncate { .. });
            let same = |row: &Row| mended.iter().any(|own| own.key == row.key);
            truncates || applied(later, statuses).iter().any(same)
        }) && mode.is_keyed();
        let known = statuses
            .iter()
            .any(|(place, _, known)| *place == (*life, *offset) && *known);
        match status(statuses, (*life, *offset)) {
            "open" if later && known => Some(format!(
                "the record at offset `{offset}` is open, though its key was changed later"
            )),
            "superseded" if !later => Some(format!(
                "the record at offset `{offset}` is superseded, and nothing came after it"
            )),
            _ => None,
        }
    })
}

fn rows(sheet: &Sheet, mode: Mode, due: &[Due], statuses: &Statuses) -> Option<String> {
    let mut expected = fold(mode, due, statuses);
    let mut here = shown(sheet, mode);
    expected.sort();
    here.sort();
    if expected == here {
        return None;
    }
    let twice = here.windows(2).find(|pair| pair[0] == pair[1]);
    let stray = here.iter().find(|row| !expected.contains(row));
    let lost = expected.iter().find(|row| !here.contains(row));
    Some(match (twice, stray, lost) {
        (Some(pair), ..) => format!("the row of offset `{}` is there twice", pair[0].origin.1),
        (_, Some(stray), lost) => format!("there is {stray:?}, due is {lost:?}"),
        (.., lost) => format!("missing is {lost:?}"),
    })
}

/// What the changes come to, one by one.
fn fold(mode: Mode, due: &[Due], statuses: &Statuses) -> Vec<Shown> {
    let mut rows: Vec<Shown> = Vec::new();
    // Where the row lies that holds now.
    let mut holds: BTreeMap<u8, usize> = BTreeMap::new();
    for due in due {
        if let Due::Truncate { life, offset } = due {
            truncate(mode, &mut rows, &mut holds, (*life, *offset));
        }
        for row in applied(due, statuses) {
            change(mode, &mut rows, &mut holds, row);
        }
    }
    if mode == Mode::Upsert {
        rows.retain(|row| !row.flag);
    }
    rows
}

fn end(row: &mut Shown, at: &str) {
    row.flag = false;
    if let Some((_, to)) = &mut row.times {
        *to = Some(at.to_owned());
    }
}

fn truncate(mode: Mode, rows: &mut [Shown], holds: &mut BTreeMap<u8, usize>, (life, offset): (u32, Offset)) {
    if mode == Mode::Append {
        return;
    }
    for index in std::mem::take(holds).into_values() {
        match mode {
            Mode::History => end(&mut rows[index], &time(life, offset)),
            _ => {
                rows[index].flag = true;
                rows[index].origin = (life, offset, 0);
            }
        }
    }
}

fn change(mode: Mode, rows: &mut Vec<Shown>, holds: &mut BTreeMap<u8, usize>, row: &Row) {
    let at = time(row.life, row.offset);
    let before = holds.get(&row.key).copied();
    let left_out = row.value == Value::LeftOut;
    let kept = before.filter(|_| left_out && mode.is_keyed());
    let new = Shown {
        key: row.key,
        origin: (row.life, row.offset, row.seq),
        value: kept.map_or_else(|| number_of(row), |index| rows[index].value),
        flag: mode == Mode::History,
        change: (mode == Mode::Append).then_some((row.delete, left_out)),
        times: (mode == Mode::History).then(|| (at.clone(), None)),
    };
    match mode {
        Mode::Append => rows.push(new),
        Mode::History => {
            if let Some(index) = holds.remove(&row.key) {
                end(&mut rows[index], &at);
            }
            if !row.delete {
                holds.insert(row.key, rows.len());
                rows.push(new);
            }
        }
        // In an upsert table what is deleted is taken out at the end.
        Mode::Upsert | Mode::SoftDelete => {
            let index = rows.iter().position(|other| other.key == row.key);
            let index = index.unwrap_or(rows.len());
            if row.delete {
                holds.remove(&row.key);
                let value = rows.get(index).and_then(|gone| gone.value);
                let gone = Shown {
                    value,
                    flag: true,
                    ..new
                };
                put(rows, index, gone);
            } else {
                holds.insert(row.key, index);
                put(rows, index, new);
            }
        }
    }
}

fn put(rows: &mut Vec<Shown>, index: usize, row: Shown) {
    match rows.get_mut(index) {
        Some(place) => *place = row,
        None => rows.push(row),
    }
}

/// The target's lines in the same form.
fn shown(sheet: &Sheet, mode: Mode) -> Vec<Shown> {
    let lines = sheet.target.lines().map(|line| shown_line(line, mode));
    // A truncate has a row of its own in a changelog, and no key.
    lines.filter(|row| row.key != u8::MAX).collect()
}

fn shown_line(line: Cells<'_>, mode: Mode) -> Shown {
    let small = |name: &str| u32::try_from(line.number(name).unwrap_or(-1)).unwrap_or(u32::MAX);
    let owned = |name: &str| line.text(name).map(str::to_owned);
    Shown {
        key: u8::try_from(small(KEY)).unwrap_or(u8::MAX),
        origin: (
            small("_kafka_incarnation"),
            Offset(line.number("_kafka_offset").unwrap_or(-1)),
            u16::try_from(small("_kafka_seq")).unwrap_or(u16::MAX),
        ),
        value: line.number(VALUE),
        flag: match mode {
            Mode::SoftDelete => line.number(DELETED) == Some(1),
            Mode::History => line.number(IS_CURRENT) == Some(1),
            Mode::Upsert | Mode::Append => false,
        },
        change: (mode == Mode::Append).then(|| {
            let marks = line.text("_kafka_unchanged").is_some_and(|marks| !marks.is_empty());
            (line.text("_kafka_op") == Some("d"), marks)
        }),
        times: (mode == Mode::History).then(|| (owned(VALID_FROM).unwrap_or_default(), owned(VALID_TO))),
    }
}
