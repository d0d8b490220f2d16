//! Values of every kind, as PostgreSQL reads them: those at the edges, and any others.

use rand::Rng;
use rand::rngs::StdRng;

use super::super::values::{
    clock, date, decimal, edges_of_decimal, finite, hex, json, number, pick, text, texts, uuid, word,
};
use super::kind::{Bound, Item, Kind};

/// The edges of a kind: what it holds at most and at least, and what is easily mistaken.
#[must_use]
pub fn corners(kind: Kind) -> Vec<String> {
    match kind {
        Kind::Numeric => numerics(),
        Kind::Decimal(precision, scale) => {
            let mut all = edges_of_decimal(precision, scale);
            all.push("NaN".to_owned());
            all
        }
        Kind::Text(0) => texts().chain([format!("{}ü", "x".repeat(3000))]).collect(),
        Kind::Text(most) | Kind::Char(most) => texts().filter(|text| text.chars().count() <= most).collect(),
        Kind::Bits { most, varying } => {
            let mut all = vec!["0".repeat(most), "1".repeat(most), format!("{}1", "0".repeat(most - 1))];
            if varying {
                all.extend(["", "1010", "000000001"].map(str::to_owned));
            }
            all
        }
        Kind::Array(item) => arrays(item),
        Kind::Range(bound) => ranges(bound),
        Kind::Multirange(bound) => ranges(bound).iter().map(|one| several(&[one])).collect(),
        kind => fixed(kind).iter().map(|text| (*text).to_owned()).collect(),
    }
}

fn numerics() -> Vec<String> {
    let some = [
        "0",
        "0.00",
        "-0.000000001",
        "12345678901234567890.123456789",
        "1e20",
        "-17.50",
        "NaN",
        "Infinity",
        "-Infinity",
    ];
    let long = [format!("{0}.{0}", "9".repeat(38)), format!("-0.{}1", "0".repeat(60))];
    some.map(str::to_owned).into_iter().chain(long).collect()
}

/// Values that no column of the target holds.
#[must_use]
pub fn unfit(kind: Kind) -> Vec<String> {
    let texts: &[&str] = match kind {
        Kind::Float4 | Kind::Float8 => &["NaN", "Infinity", "-Infinity"],
        Kind::Date => &["infinity", "-infinity", "0044-03-15 BC", "12345-06-07"],
        Kind::Timestamp(_) => &[
            "infinity",
            "-infinity",
            "0044-03-15 12:00:00 BC",
            "12345-06-07 08:09:10",
        ],
        Kind::TimestampTz => &[
            "infinity",
            "-infinity",
            "0044-03-15 12:00:00+00 BC",
            "12345-06-07 08:09:10+00",
        ],
        Kind::Text(0) => return vec!["x".repeat(65_536), format!("{}ü", "y".repeat(65_534))],
        _ => &[],
    };
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn fixed(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Bool => &["t", "f"],
        Kind::Int2 => &["-32768", "32767", "0"],
        Kind::Int4 => &["-2147483648", "2147483647", "0"],
        Kind::Int8 => &["-9223372036854775808", "9223372036854775807", "0"],
        Kind::Oid => &["0", "4294967295"],
        Kind::Float4 => &["3.4028235e38", "-3.4028235e38", "1e-45", "-0", "0.1", "16777216"],
        Kind::Float8 => &[
            "1.7976931348623157e308",
            "5e-324",
            "-2.2250738585072014e-308",
            "-0",
            "0.1",
            "1e15",
            "1e16",
        ],
        Kind::Money => &[
            "$0.00",
            "-$0.01",
            "$92,233,720,368,547,758.07",
            "-$92,233,720,368,547,758.08",
        ],
        Kind::Xml => &[
            "<a>x</a>",
            "<b/>",
            "<t u=\"v\">&amp; ü &lt;</t>",
            "<a> two\n lines </a>",
        ],
        Kind::Mood => &["sad", "ok", "happy", "so so"],
        Kind::Inet => &["10.0.0.1/8", "192.168.1.1", "::1", "2001:db8::1/64", "0.0.0.0/0"],
        Kind::Cidr => &["10.0.0.0/8", "::/0", "192.168.0.0/16", "2001:db8::/32"],
        Kind::Mac => &["08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff"],
        Kind::Mac8 => &["08:00:2b:01:02:03:04:05", "ff:ff:ff:ff:ff:ff:ff:ff"],
        Kind::Ltree => &["top.mid.leaf", "a", ""],
        Kind::Tsvector => &["'cat' 'fat'", "'a':1A 'b':2,3", ""],
        Kind::Uuid => &[
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ],
        Kind::Bytes => &["\\x", "\\x00ff10deadbeef", "\\x5c4e"],
        Kind::Bit => &["0", "1"],
        Kind::Date => &["0001-01-01", "9999-12-31", "1970-01-01", "2000-02-29", "1582-10-10"],
        Kind::Time(_) => &["00:00:00", "24:00:00", "23:59:59.999"],
        Kind::TimeTz => &[
            "00:00:00+00",
            "23:59:59.999999-12",
            "00:30:00+05:30",
            "10:11:12.123456+02",
        ],
        Kind::Timestamp(6) => &[
            "0001-01-01 00:00:00",
            "9999-12-31 23:59:59.999999",
            "1969-12-31 23:59:59.999999",
            "1582-10-10 12:00:00",
        ],
        Kind::Timestamp(_) => &["0001-01-01 00:00:00", "9999-12-31 23:59:59", "1969-12-31 23:59:59"],
        Kind::TimestampTz => &[
            "0001-01-01 00:00:00+00",
            "9999-12-31 23:59:59.999999+00",
            "1969-12-31 23:59:59.999999+00",
            "2038-01-19 05:14:08+02",
        ],
        Kind::Interval => &[
            "1 year 2 mons 3 days 04:05:06.789",
            "-1 days",
            "00:00:00",
            "-00:00:00.000001",
            "-1 year -1 mons +3 days",
        ],
        Kind::Json => &[
            "{\"a\": 1, \"b\":[1,2,{\"c\":null}]}",
            "\"str\"",
            "null",
            "[]",
            " { \"x\" : \"y  z\" } ",
            "\"a\\\"b\\\\c\\u00e9\\n\"",
            "[1.50, -0.001, 12345678901234567890123456789012345678]",
            "{\"\": {\"deep\": [[[[]]]]}}",
            "true",
        ],
        Kind::Hstore => &["\"a\"=>\"1\", \"b\"=>NULL", "", "\"k ey\"=>\"v,\\\"al\""],
        Kind::Point => &["(1.5,-2.5)", "(1e+300,-1e-300)", "(0,0)"],
        _ => &[],
    }
}

fn arrays(item: Item) -> Vec<String> {
    let more: &[&str] = match item {
        Item::Int4 => &["{1,NULL,-2147483648}", "{{1,2},{3,4}}"],
        Item::Int8 => &["{9223372036854775807,-9223372036854775808}"],
        Item::Decimal => &["{1.10,NULL,-99999999.99}"],
        Item::Float8 => &["{0.1,1e300,5e-324}"],
        Item::Bool => &["{t,f,NULL}"],
        Item::Text => &[
            "{a,\"b,c\",NULL}",
            "{\"NULL\",\"\\\"q\\\"\",\"\",\"back\\\\slash\",\"two\nlines\"}",
        ],
        Item::Uuid => &["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}"],
        Item::Date => &["{0001-01-01,NULL,9999-12-31}"],
        // Debezium takes earlier ones in an array for others.
        Item::Timestamp => &["{1582-10-15 00:00:00,NULL,9999-12-31 23:59:59.999999}"],
        Item::TimestampTz => &["{0001-01-01 00:00:00+00,NULL,9999-12-31 23:59:59.999999+00}"],
    };
    ["{}", "{NULL}"]
        .iter()
        .chain(more)
        .map(|text| (*text).to_owned())
        .collect()
}

fn ranges(bound: Bound) -> Vec<String> {
    let more: &[&str] = match bound {
        Bound::Whole => &["[1,10)", "(,5]"],
        Bound::Numeric => &["[1.50,2)", "(-1,)"],
        Bound::Date => &["[2000-01-01,2000-02-29]"],
        Bound::Timestamp => &["[2013-01-01 00:00:00,2014-01-01 00:00:00.5)"],
        Bound::TimestampTz => &["[1900-01-01 00:00:00+00,)", "(,2038-01-19 05:14:08+02]"],
    };
    ["empty", "(,)"]
        .iter()
        .chain(more)
        .map(|text| (*text).to_owned())
        .collect()
}

/// A multirange of these ranges.
fn several(ranges: &[&str]) -> String {
    let ranges: Vec<&str> = ranges.iter().copied().filter(|range| *range != "empty").collect();
    format!("{{{}}}", ranges.join(","))
}

/// Whether a snapshot takes a value for another: it reads dates as java.sql.Date, which knows neither the years before the first nor the
/// days that the calendar skipped in 1582. In the log they are read as they are.
#[must_use]
pub fn is_misread(kind: Kind, text: &str) -> bool {
    kind == Kind::Date && ["0044-03-15 BC", "1582-10-10"].contains(&text)
}

/// Any value of a kind.
pub fn usual(kind: Kind, dice: &mut StdRng) -> String {
    match kind {
        Kind::Bool => if dice.random() { "t" } else { "f" }.to_owned(),
        Kind::Int2 => dice.random::<i16>().to_string(),
        Kind::Int4 => dice.random::<i32>().to_string(),
        Kind::Int8 => dice.random::<i64>().to_string(),
        Kind::Oid => dice.random::<u32>().to_string(),
        Kind::Float4 => finite(|| f64::from(f32::from_bits(dice.random()))),
        Kind::Float8 => finite(|| f64::from_bits(dice.random())),
        Kind::Numeric => decimal(20, 12, dice),
        Kind::Decimal(precision, scale) => decimal(precision - scale, scale, dice),
        Kind::Money => decimal(9, 2, dice),
        Kind::Text(0) => text(60, dice),
        Kind::Text(most) | Kind::Char(most) => text(most, dice),
        Kind::Xml => format!("<x n=\"{}\">{}</x>", dice.random::<u16>(), word(dice)),
        Kind::Mood | Kind::Ltree | Kind::Tsvector if dice.random_ratio(1, 3) => pick(fixed(kind), dice).to_owned(),
        Kind::Mood => "happy".to_owned(),
        Kind::Ltree => format!("{}.{}", word(dice), word(dice)),
        Kind::Tsvector => format!("{} {}", word(dice), word(dice)),
        Kind::Inet => format!("10.{}.{}.1", dice.random::<u8>(), dice.random::<u8>()),
        Kind::Cidr => format!("10.{}.0.0/16", dice.random::<u8>()),
        Kind::Mac => format!("08:00:2b:{:02x}:{:02x}:03", dice.random::<u8>(), dice.random::<u8>()),
        Kind::Mac8 => format!(
            "08:00:2b:{:02x}:03:ff:{:02x}:05",
            dice.random::<u8>(),
            dice.random::<u8>()
        ),
        Kind::Uuid => uuid(dice),
        Kind::Bytes => format!("\\x{}", hex(40, dice)),
        Kind::Bit => dice.random_range(0..2).to_string(),
        Kind::Bits { most, varying } => {
            let bits = if varying { dice.random_range(0..=most) } else { most };
            (0..bits).map(|_| if dice.random() { '1' } else { '0' }).collect()
        }
        Kind::Date => date(dice),
        Kind::Time(digits) => clock(digits, dice),
        Kind::TimeTz => format!("{}{:+03}", clock(6, dice), dice.random_range(-12..=14)),
        Kind::Timestamp(digits) => format!("{} {}", date(dice), clock(digits, dice)),
        Kind::TimestampTz => format!("{} {}+00", date(dice), clock(6, dice)),
        Kind::Interval => interval(dice),
        Kind::Json => json(3, dice),
        Kind::Hstore => format!("{}=>{}, x=>NULL", word(dice), word(dice)),
        Kind::Point => format!("({},{})", number(dice), number(dice)),
        Kind::Range(bound) => range(bound, dice),
        Kind::Multirange(bound) => several(&[&range(bound, dice), &range(bound, dice)]),
        Kind::Array(item) => array(item, 4, dice),
        Kind::BigText => hex(6000, dice),
        Kind::BigBytes => format!("\\x{}", hex(12_000, dice)),
        Kind::BigJson => format!("{{\"v\": \"{}\", \"n\": {}}}", hex(6000, dice), dice.random::<i32>()),
        Kind::BigArray(Item::Text) => array(Item::Text, 400, dice),
        Kind::BigArray(item) => array(item, 900, dice),
    }
}

fn interval(dice: &mut StdRng) -> String {
    let mut part = |most: i32| dice.random_range(-most..=most);
    format!(
        "{} years {} mons {} days {} hours {} mins {} secs {} milliseconds",
        part(9),
        part(11),
        part(40),
        part(30),
        part(59),
        part(59),
        part(999)
    )
}

fn range(bound: Bound, dice: &mut StdRng) -> String {
    let year = dice.random_range(1..9000);
    match bound {
        Bound::Whole => format!("[{year},{})", year + dice.random_range(0..9)),
        Bound::Numeric => format!("({year}.5,{}.25]", year + 1),
        Bound::Date => format!("[{year:04}-01-02,{:04}-03-04)", year + 1),
        Bound::Timestamp => format!("[{year:04}-01-02 03:04:05.678,{:04}-01-01 00:00:00)", year + 1),
        Bound::TimestampTz => format!("[{year:04}-01-02 03:04:05+00,{:04}-01-01 00:00:00+01]", year + 1),
    }
}

fn array(item: Item, most: usize, dice: &mut StdRng) -> String {
    let count = dice.random_range(most / 2..=most);
    let items: Vec<String> = (0..count)
        .map(|_| match item {
            Item::Int4 => dice.random::<i32>().to_string(),
            Item::Int8 => dice.random::<i64>().to_string(),
            Item::Decimal => decimal(8, 2, dice),
            Item::Float8 => finite(|| f64::from_bits(dice.random())),
            Item::Bool => if dice.random() { "t" } else { "f" }.to_owned(),
            Item::Text => format!("\"{}\"", text(12, dice).replace('\\', "\\\\").replace('"', "\\\"")),
            Item::Uuid => uuid(dice),
            Item::Date => date(dice),
            Item::Timestamp => format!(
                "{}{} {}",
                dice.random_range(1583..=9999),
                &date(dice)[4..],
                clock(6, dice)
            ),
            Item::TimestampTz => format!("{} {}+00", date(dice), clock(6, dice)),
        })
        .collect();
    format!("{{{}}}", items.join(","))
}
