//! How a value stands in a target's table by the rules of docs/formats.md, made from the text in which PostgreSQL writes it: code of
//! its own, which knows nothing of the encoder.

use common::table::ColumnType;

/// A rule by which values are rendered otherwise than at the source.
pub(crate) struct Rule {
    /// Its name in docs/formats.md.
    pub(crate) name: &'static str,
    /// For which settings.
    pub(crate) prefixes: &'static [&'static str],
    /// For which columns.
    pub(crate) columns: &'static [&'static str],
    pub(crate) render: fn(&str) -> String,
}

const ALL: &[&str] = &["pgd", "pgc", "pgm", "pgj", "pgn", "pgu"];
const RAW_BYTES: &[&str] = &["pgd", "pgm", "pgj", "pgn", "pgu"];
const AS_DECIMALS: &[&str] = &["pgd", "pgj", "pgu"];

/// Rules for `every_type`; of several for one column the first that fits the setting holds.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "numbers as doubles",
        prefixes: &["pgm"],
        columns: &["c_num", "c_num10_2", "c_num38_9", "c_money"],
        render: money,
    },
    Rule {
        name: "money is a number",
        prefixes: ALL,
        columns: &["c_money"],
        render: money,
    },
    Rule {
        name: "bytes as base64",
        prefixes: &["pgc"],
        columns: &["c_bytea"],
        render: base64,
    },
    Rule {
        name: "bytes in hexadecimal",
        prefixes: RAW_BYTES,
        columns: &["c_bytea"],
        render: hex,
    },
    Rule {
        name: "a single bit is a boolean",
        prefixes: ALL,
        columns: &["c_bit1"],
        render: bit,
    },
    Rule {
        name: "bits are bytes, the lowest first",
        prefixes: ALL,
        columns: &["c_bit8", "c_varbit"],
        render: bits,
    },
    Rule {
        name: "times of day with a zone in UTC",
        prefixes: ALL,
        columns: &["c_timetz"],
        render: utc,
    },
    Rule {
        name: "milliseconds only",
        prefixes: &["pgc"],
        columns: &["c_time", "c_ts"],
        render: millis,
    },
    Rule {
        name: "intervals as periods",
        prefixes: &["pgc"],
        columns: &["c_interval"],
        render: period,
    },
    Rule {
        name: "intervals in microseconds",
        prefixes: RAW_BYTES,
        columns: &["c_interval"],
        render: micros,
    },
    Rule {
        name: "JSON without blanks",
        prefixes: ALL,
        columns: &["c_json", "c_jsonb"],
        render: compact,
    },
    Rule {
        name: "hstore is JSON",
        prefixes: ALL,
        columns: &["c_hstore"],
        render: hstore,
    },
    Rule {
        name: "points are objects",
        prefixes: ALL,
        columns: &["c_point"],
        render: point,
    },
    Rule {
        name: "arrays are JSON",
        prefixes: ALL,
        columns: &["c_int_arr"],
        render: |text| array(text, false),
    },
    Rule {
        name: "arrays are JSON",
        prefixes: ALL,
        columns: &["c_text_arr"],
        render: |text| array(text, true),
    },
    Rule {
        name: "arrays are JSON",
        prefixes: AS_DECIMALS,
        columns: &["c_num_arr"],
        render: |text| array(text, false),
    },
    Rule {
        name: "arrays are JSON",
        prefixes: &["pgm"],
        columns: &["c_num_arr"],
        render: |text| array(&text.replace("0,", ",").replace("0}", "}"), false),
    },
    Rule {
        name: "arrays are JSON",
        prefixes: &["pgc", "pgn"],
        columns: &["c_num_arr"],
        render: |text| array(text, true),
    },
];

/// What the target should hold; rules that are used are noted.
pub(crate) fn rendered(prefix: &str, column: &str, text: &str, used: &mut Vec<&'static str>) -> String {
    let rule = RULES
        .iter()
        .find(|rule| rule.columns.contains(&column) && rule.prefixes.contains(&prefix));
    match rule {
        Some(rule) => {
            let expected = (rule.render)(text);
            if expected != text && !used.contains(&rule.name) {
                used.push(rule.name);
            }
            expected
        }
        None => text.to_owned(),
    }
}

/// One spelling of values that have several: numbers in floating point, fractions of a second.
pub(crate) fn canonical(ty: ColumnType, text: &str) -> String {
    match ty {
        ColumnType::Real => format!("{:e}", text.parse::<f32>().unwrap()),
        ColumnType::Double => format!("{:e}", text.parse::<f64>().unwrap()),
        ColumnType::Time | ColumnType::TimeTz | ColumnType::Timestamp | ColumnType::TimestampTz => {
            let (time, zone) = text.split_at(text.find('+').unwrap_or(text.len()));
            match time.split_once('.') {
                Some((whole, fraction)) => {
                    let fraction = fraction.trim_end_matches('0');
                    let point = if fraction.is_empty() { "" } else { "." };
                    format!("{whole}{point}{fraction}{zone}")
                }
                None => text.to_owned(),
            }
        }
        _ => text.to_owned(),
    }
}

fn money(text: &str) -> String {
    text.replace(['$', ','], "")
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    let hex = hex(text);
    let bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn hex(text: &str) -> String {
    text.strip_prefix("\\x").unwrap().to_owned()
}

fn bit(text: &str) -> String {
    if text == "1" { "t" } else { "f" }.to_owned()
}

/// Leading zeros are not kept, but for one byte where there is nothing else.
fn bits(text: &str) -> String {
    let number = u64::from_str_radix(&format!("0{text}"), 2).unwrap();
    let bytes = number.to_le_bytes();
    let count = (8 - number.leading_zeros() as usize / 8).max(1);
    bytes[..count].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn seconds(clock: &str) -> (i64, &str) {
    let (clock, fraction) = clock.split_at(clock.find('.').unwrap_or(clock.len()));
    let parts: Vec<i64> = clock.split(':').map(|part| part.parse().unwrap()).collect();
    ((parts[0] * 60 + parts[1]) * 60 + parts[2], fraction)
}

fn utc(text: &str) -> String {
    let at = text.rfind(['+', '-']).unwrap();
    let (clock, zone) = text.split_at(at);
    let (seconds, fraction) = seconds(clock);
    let utc = (seconds - zone.parse::<i64>().unwrap() * 3600).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}{fraction}+00", utc / 3600, utc / 60 % 60, utc % 60)
}

fn millis(text: &str) -> String {
    match text.split_once('.') {
        Some((whole, fraction)) => format!("{whole}.{}", &fraction[..fraction.len().min(3)]),
        None => text.to_owned(),
    }
}

/// Years, months, days, seconds, and the text of the fraction.
fn interval(text: &str) -> ([i64; 4], String) {
    let (mut parts, mut fraction) = ([0; 4], String::new());
    let words: Vec<&str> = text.split(' ').collect();
    let mut at = 0;
    while at < words.len() {
        if words[at].contains(':') {
            let (whole, rest) = seconds(words[at]);
            parts[3] = whole;
            fraction = rest.to_owned();
            at += 1;
        } else {
            let unit = ["year", "mon", "day"]
                .iter()
                .position(|unit| words[at + 1].starts_with(unit))
                .unwrap();
            parts[unit] = words[at].parse().unwrap();
            at += 2;
        }
    }
    (parts, fraction)
}

/// A month is a twelfth of 365.25 days.
fn micros(text: &str) -> String {
    let ([years, months, days, seconds], fraction) = interval(text);
    let micros: i64 = format!("{:0<6}", fraction.trim_start_matches('.')).parse().unwrap();
    let days_of_months = (years * 12 + months) * 2_629_800_000_000;
    (days_of_months + days * 86_400_000_000 + seconds * 1_000_000 + micros).to_string()
}

fn period(text: &str) -> String {
    let ([years, months, days, seconds], fraction) = interval(text);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("P{years}Y{months}M{days}DT{hours}H{minutes}M{seconds}{fraction}S")
}

fn compact(text: &str) -> String {
    let (mut inside, mut escaped) = (false, false);
    let keep = |c: &char| {
        inside ^= *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        inside || *c != ' '
    };
    text.chars().filter(keep).collect()
}

fn hstore(text: &str) -> String {
    format!("{{{}}}", compact(&text.replace("=>", ":").replace(":NULL", ":null")))
}

fn point(text: &str) -> String {
    use base64::Engine as _;
    let (x, y) = text.trim_matches(['(', ')']).split_once(',').unwrap();
    let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
    // Well-known binary: little-endian, type 1, the two numbers.
    let wkb = [&[1, 1, 0, 0, 0][..], &x.to_le_bytes(), &y.to_le_bytes()].concat();
    let wkb = base64::engine::general_purpose::STANDARD.encode(wkb);
    let number = |number: f64| ryu::Buffer::new().format(number).to_owned();
    format!(r#"{{"x":{},"y":{},"wkb":"{wkb}","srid":null}}"#, number(x), number(y))
}

/// An array's text; what an array holds of arrays, Debezium writes as nulls.
fn array(text: &str, quoted: bool) -> String {
    let mut items: Vec<String> = Vec::new();
    let mut characters = text[1..text.len() - 1].chars().peekable();
    let (mut item, mut quotes, mut depth, mut any) = (String::new(), false, 0, false);
    let mut was_quoted = false;
    let mut push = |item: &mut String, was_quoted: &mut bool| {
        let text = std::mem::take(item);
        let nested = text.starts_with('{') && !*was_quoted;
        items.push(match text.as_str() {
            _ if nested => "null".to_owned(),
            "NULL" if !*was_quoted => "null".to_owned(),
            _ if quoted => serde_json::to_string(&text).unwrap(),
            _ => text,
        });
        *was_quoted = false;
    };
    while let Some(c) = characters.next() {
        any = true;
        match c {
            '\\' => item.extend(characters.next()),
            '"' => {
                quotes = !quotes;
                was_quoted = true;
            }
            '{' if !quotes => {
                depth += 1;
                item.push(c);
            }
            '}' if !quotes => depth -= 1,
            ',' if !quotes && depth == 0 => push(&mut item, &mut was_quoted),
            _ => item.push(c),
        }
    }
    if any {
        push(&mut item, &mut was_quoted);
    }
    format!("[{}]", items.join(","))
}
