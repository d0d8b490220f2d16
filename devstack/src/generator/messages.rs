//! What a generator hands out: records for Kafka, and the table that must come of them.

use anyhow::Result;

use super::avro::Column;
use super::cell::Cell;

/// One record, borrowed from its maker.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Partition, chosen by the maker: the same key always goes to the same one.
    pub partition: i32,
    /// Key bytes.
    pub key: Option<&'a [u8]>,
    /// Value bytes; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// One header.
    pub header: Option<(&'a str, &'a str)>,
    /// Milliseconds since 1970; the producer's clock if absent.
    pub time_ms: Option<i64>,
}

/// Takes records.
pub trait Outlet {
    /// Takes one.
    ///
    /// # Errors
    /// It cannot be taken; nothing that follows will be either.
    fn send(&mut self, record: Record<'_>) -> Result<()>;
}

/// The table that a topic leads to.
pub trait Truth {
    /// The topic.
    fn topic(&self) -> &'static str;
    /// Schema and table at the target, by the documented default mapping.
    fn table(&self) -> (&'static str, &'static str);
    /// Columns, in order.
    fn columns(&self) -> &'static [Column];
    /// Place of the key column; `None` for an append-only table.
    fn key(&self) -> Option<usize>;
    /// Number of rows.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The rows; in order of the key, if there is one.
    fn rows(&self) -> Box<dyn Iterator<Item = Vec<Cell>> + Send + '_>;
}

/// Writes a table as CSV with a header line; NULL is an empty field.
///
/// # Errors
/// The file cannot be written.
pub fn write_csv(truth: &dyn Truth, file: &std::path::Path) -> Result<()> {
    let mut writer = csv::Writer::from_path(file)?;
    writer.write_record(truth.columns().iter().map(|(name, _)| *name))?;
    for row in truth.rows() {
        writer.write_record(row.iter().map(Cell::text))?;
    }
    Ok(writer.flush()?)
}
