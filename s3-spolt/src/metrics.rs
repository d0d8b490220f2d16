//! Names and meaning of s3-spolt's metrics, in Prometheus' conventions: base units in the name, `_total` on counters.

use common::claim::Claim;
use common::ids::Partition;
use common::row::Amended;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::collect::Report;
use crate::ingest::batch::Reason;

/// Visible records that were claimed, by topic.
pub const RECORDS: &str = "s3_spolt_records_total";
/// Rows in claimed objects, by topic.
pub const ROWS: &str = "s3_spolt_rows_total";
/// Records that made no row, by topic.
pub const SKIPPED: &str = "s3_spolt_skipped_records_total";
/// Records set aside, by topic and reason; counted when they are read, so again when they are read again.
pub const SET_ASIDE: &str = "s3_spolt_set_aside_records_total";
/// Values replaced by the rule of their column, by topic, column and reason; counted when they are read.
pub const AMENDED: &str = "s3_spolt_amended_values_total";
/// Compressed bytes of claimed objects, by topic.
pub const OBJECT_BYTES: &str = "s3_spolt_object_bytes_total";
/// Claims acknowledged, by topic and by what cut their object.
pub const CLAIMS: &str = "s3_spolt_claims_total";
/// From the latest record time in an object to the acknowledgement of its claim.
pub const DELAY: &str = "s3_spolt_claim_delay_seconds";
/// Records between what is claimed and the end of the topic, by topic and partition.
pub const LAG: &str = "s3_spolt_lag_records";
/// 1 while a lineage stands still until somebody mends the cause.
pub const HALTED: &str = "s3_spolt_halted";
/// How often a lineage went back to the signal log after a failure.
pub const RECOVERIES: &str = "s3_spolt_recoveries_total";
/// How often the fetch client stalled without a word and was made anew.
pub const STALLS: &str = "s3_spolt_fetch_stalls_total";
/// Bytes of records and objects in memory.
pub const MEMORY: &str = "s3_spolt_memory_bytes";

/// Objects deleted by the garbage collector, by topic.
pub const COLLECTED: &str = "s3_spolt_gc_objects_total";
/// Their bytes.
pub const COLLECTED_BYTES: &str = "s3_spolt_gc_bytes_total";
/// First offset that some target has not applied, by topic and partition, as the last collection saw it.
pub const HORIZON: &str = "s3_spolt_gc_horizon";
/// 1 while nothing of a topic is collected because its targets are not those that are configured.
pub const GC_REFUSED: &str = "s3_spolt_gc_refused";

/// Describes every metric, so that /metrics explains itself.
pub fn describe() {
    describe_counter!(RECORDS, Unit::Count, "visible records that were claimed");
    describe_counter!(ROWS, Unit::Count, "rows in claimed objects");
    describe_counter!(SKIPPED, Unit::Count, "records that made no row");
    describe_counter!(SET_ASIDE, Unit::Count, "records set aside as they were read, by reason");
    describe_counter!(
        AMENDED,
        Unit::Count,
        "values replaced by the rule of their column as they were read, by column and reason"
    );
    describe_counter!(OBJECT_BYTES, Unit::Bytes, "compressed bytes of claimed objects");
    describe_counter!(CLAIMS, Unit::Count, "claims acknowledged, by what cut their object");
    describe_histogram!(
        DELAY,
        Unit::Seconds,
        "latest record time in an object until its claim was acknowledged"
    );
    describe_gauge!(
        LAG,
        Unit::Count,
        "records between what is claimed and the end of the topic"
    );
    describe_gauge!(
        HALTED,
        Unit::Count,
        "1 while a lineage stands still until somebody mends the cause"
    );
    describe_counter!(
        RECOVERIES,
        Unit::Count,
        "times a lineage went back to the signal log after a failure"
    );
    describe_counter!(
        STALLS,
        Unit::Count,
        "times the fetch client stalled without a word and was made anew"
    );
    describe_gauge!(MEMORY, Unit::Bytes, "bytes of records and objects in memory");
    describe_counter!(COLLECTED, Unit::Count, "objects deleted by the garbage collector");
    describe_counter!(
        COLLECTED_BYTES,
        Unit::Bytes,
        "bytes of objects deleted by the garbage collector"
    );
    describe_gauge!(HORIZON, Unit::Count, "first offset that some target has not applied");
    describe_gauge!(
        GC_REFUSED,
        Unit::Count,
        "1 while nothing of a topic is collected because its targets are not those that are configured"
    );
}

/// Counts an acknowledged claim.
pub fn claimed(topic: &str, claim: &Claim, reason: Reason, now_ms: i64) {
    let labels = [("topic", topic.to_owned())];
    counter!(RECORDS, &labels).increment(claim.records);
    counter!(ROWS, &labels).increment(claim.rows);
    counter!(SKIPPED, &labels).increment(claim.skipped);
    counter!(OBJECT_BYTES, &labels).increment(claim.object.as_ref().map_or(0, |object| object.bytes));
    counter!(CLAIMS, "topic" => topic.to_owned(), "cut" => reason.name()).increment(1);
    if let Some(latest) = claim.max_time_ms {
        histogram!(DELAY, &labels).record((now_ms - latest).max(0) as f64 / 1_000.0);
    }
}

/// Counts a record that is set aside.
pub fn set_aside(topic: &str, reason: &'static str) {
    counter!(SET_ASIDE, "topic" => topic.to_owned(), "reason" => reason).increment(1);
}

/// Counts a value that was replaced.
pub fn amended(topic: &str, amended: &Amended) {
    let labels = [
        ("topic", topic.to_owned()),
        ("column", amended.column.clone()),
        ("reason", amended.reason.name().to_owned()),
    ];
    counter!(AMENDED, &labels).increment(1);
}

/// Notes whether a lineage is halted.
pub fn halted(topic: &str, partition: Partition, halted: bool) {
    let labels = [("topic", topic.to_owned()), ("partition", partition.to_string())];
    gauge!(HALTED, &labels).set(if halted { 1.0 } else { 0.0 });
}

/// Counts a return to the signal log.
pub fn retried(topic: &str) {
    counter!(RECOVERIES, "topic" => topic.to_owned()).increment(1);
}

/// Counts a fetch client that stalled.
pub fn stalled() {
    counter!(STALLS).increment(1);
}

/// Sets the lag of a partition.
pub fn lag(topic: &str, partition: Partition, records: i64) {
    let labels = [("topic", topic.to_owned()), ("partition", partition.to_string())];
    gauge!(LAG, &labels).set(records.max(0) as f64);
}

/// Sets the memory in use.
pub fn memory(bytes: u64) {
    gauge!(MEMORY).set(bytes as f64);
}

/// Notes what a collection came to in one partition.
pub fn collected(report: &Report) {
    let topic = [("topic", report.topic.clone())];
    counter!(COLLECTED, &topic).increment(report.objects);
    counter!(COLLECTED_BYTES, &topic).increment(report.bytes);
    gauge!(GC_REFUSED, &topic).set(if report.refused.is_some() { 1.0 } else { 0.0 });
    if let Some(horizon) = report.horizon {
        let labels = [
            ("topic", report.topic.clone()),
            ("partition", report.partition.to_string()),
        ];
        gauge!(HORIZON, &labels).set(horizon as f64);
    }
}
