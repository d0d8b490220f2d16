//! Values of every kind: those at the edges, and any others; and what both databases make them of.

use rand::Rng;
use rand::rngs::StdRng;

use super::tables::Column;

/// A value for a column: NULL now and then, an edge now and then.
pub fn value(column: &Column, dice: &mut StdRng) -> Option<String> {
    match dice.random_range(0..10) {
        0 if !column.required() => None,
        1 | 2 => {
            let corners = corners(column);
            let at = dice.random_range(0..corners.len().max(1));
            corners.get(at).cloned().or_else(|| Some(column.kind.usual(dice)))
        }
        _ => Some(column.kind.usual(dice)),
    }
}

/// The edges of a column: what its type holds at most and at least, and what is easily mistaken.
#[must_use]
pub fn corners(column: &Column) -> Vec<String> {
    let mut all = column.kind.corners();
    if column.unfit {
        all.extend(column.kind.unfit_corners());
    }
    all
}

/// A literal of a value.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

const TEXTS: &[&str] = &[
    "",
    " ",
    "  blanks  ",
    "\\N",
    "\\\\",
    "NULL",
    "null",
    "\"",
    "\"\"",
    "a \"quoted\" word",
    "a,b;c|d",
    "two\nlines",
    "\r\n",
    "tab\there",
    "Zürich Ω≈ç√∫ 🦀",
    "{\"a\":1}",
    "'; DROP",
    "\u{1}\u{7f}",
    "\u{feff}bom",
];

pub(super) fn texts() -> impl Iterator<Item = String> {
    TEXTS.iter().map(|text| (*text).to_owned())
}

pub(super) fn edges_of_decimal(precision: usize, scale: usize) -> Vec<String> {
    let largest = format!("{}.{}", "9".repeat(precision - scale), "9".repeat(scale));
    let smallest = format!("0.{:0>scale$}", 1);
    let mut all = vec!["0".to_owned(), format!("-{largest}"), largest];
    if scale > 0 {
        all.extend([format!("-{smallest}"), smallest]);
    }
    all
}

pub(super) fn pick<'a>(from: &[&'a str], dice: &mut StdRng) -> &'a str {
    from[dice.random_range(0..from.len())]
}

pub(super) fn finite(mut make: impl FnMut() -> f64) -> String {
    loop {
        let number = make();
        if number.is_finite() {
            return format!("{number:e}");
        }
    }
}

pub(super) fn number(dice: &mut StdRng) -> f64 {
    f64::from(dice.random::<i32>()) / 1024.0
}

pub(super) fn decimal(whole: usize, fraction: usize, dice: &mut StdRng) -> String {
    let (whole, fraction) = (dice.random_range(0..=whole), dice.random_range(0..=fraction));
    let mut digits =
        |count: usize| -> String { (0..count).map(|_| char::from(dice.random_range(b'0'..=b'9'))).collect() };
    let (whole, fraction) = (digits(whole), digits(fraction));
    let sign = if dice.random() { "-" } else { "" };
    format!("{sign}0{whole}.{fraction}0")
}

pub(super) fn text(most: usize, dice: &mut StdRng) -> String {
    const LETTERS: &[char] = &[
        'a', 'b', 'Z', '0', '9', ' ', '-', '\'', '"', ',', '\\', '\n', 'ü', 'Ω', '漢', '🦀',
    ];
    let length = dice.random_range(0..=most);
    (0..length)
        .map(|_| LETTERS[dice.random_range(0..LETTERS.len())])
        .collect()
}

pub(super) fn word(dice: &mut StdRng) -> String {
    (0..dice.random_range(1..9))
        .map(|_| char::from(dice.random_range(b'a'..=b'z')))
        .collect()
}

/// Digits of an even number of at most `most`, at least half of it.
pub(super) fn hex(most: usize, dice: &mut StdRng) -> String {
    let bytes = dice.random_range(most / 4..=most / 2);
    (0..bytes).map(|_| format!("{:02x}", dice.random::<u8>())).collect()
}

pub(super) fn uuid(dice: &mut StdRng) -> String {
    let text = format!("{:032x}", dice.random::<u128>());
    format!(
        "{}-{}-{}-{}-{}",
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..]
    )
}

pub(super) fn date(dice: &mut StdRng) -> String {
    format!(
        "{:04}-{:02}-{:02}",
        dice.random_range(1..=9999),
        dice.random_range(1..=12),
        dice.random_range(1..=28)
    )
}

pub(super) fn clock(digits: usize, dice: &mut StdRng) -> String {
    let time = format!(
        "{:02}:{:02}:{:02}",
        dice.random_range(0..24),
        dice.random_range(0..60),
        dice.random_range(0..60)
    );
    let fraction = format!("{:06}", dice.random_range(0..1_000_000));
    if digits == 0 {
        time
    } else {
        format!("{time}.{}", &fraction[..digits])
    }
}

pub(super) fn json(depth: u32, dice: &mut StdRng) -> String {
    let quoted = |text: String| serde_json::Value::String(text).to_string();
    match dice.random_range(0..if depth == 0 { 5 } else { 7 }) {
        0 => "null".to_owned(),
        1 => if dice.random() { "true" } else { "false" }.to_owned(),
        2 => dice.random::<i64>().to_string(),
        3 => number(dice).to_string(),
        4 => quoted(text(12, dice)),
        5 => {
            let items: Vec<String> = (0..dice.random_range(0..4)).map(|_| json(depth - 1, dice)).collect();
            format!("[{}]", items.join(", "))
        }
        _ => {
            let fields: Vec<String> = (0..dice.random_range(0..4))
                .map(|at| format!("\"{}{at}\" : {}", word(dice), json(depth - 1, dice)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
    }
}
