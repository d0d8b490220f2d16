//! The same records to the same rows, in one run: through the value tree of apache-avro and the writer of the csv crate, and by our
//! encoder. Prints rows and megabytes of datum a second; `cargo bench -p common`.

#![allow(
    clippy::unwrap_used,
    reason = "the schemas are made here: what fails is the benchmark"
)]

mod data;

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use apache_avro::Schema;
use common::row::Stats;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use data::Topic;

/// More than a core's second cache holds, as in a daemon that reads from a socket.
const ROWS: usize = 20_000;

fn compare(criterion: &mut Criterion, name: &str, topic: &Topic, debezium: bool) {
    let schema = Schema::parse_str(&topic.value_schema).unwrap();
    let bytes: usize = topic.records.iter().map(|(_, value)| value.len()).sum();
    let (mut encoder, mut out, mut stats) = (data::encoder(topic, debezium), Vec::new(), Stats::default());
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    group.bench_function("libraries", |bencher| {
        bencher.iter(|| black_box(data::by_libraries(topic, &schema, debezium)))
    });
    let mut ours = || {
        out.clear();
        data::by_spolt(topic, &mut encoder, &mut out, &mut stats);
        black_box(&out);
    };
    group.bench_function("spolt", |bencher| bencher.iter(&mut ours));
    group.finish();
    let libraries = rate(|| _ = black_box(data::by_libraries(topic, &schema, debezium)));
    let spolt = rate(ours);
    let megabytes = |rows: f64| rows * bytes as f64 / ROWS as f64 / 1e6;
    println!(
        "{name}: {} B a value; libraries {:.2} M rows/s ({:.0} MB/s), spolt {:.2} M rows/s ({:.0} MB/s), {:.1} times",
        bytes / ROWS,
        libraries / 1e6,
        megabytes(libraries),
        spolt / 1e6,
        megabytes(spolt),
        spolt / libraries,
    );
}

/// Rows a second of processor time, the median of turns that last two seconds together: what else the machine does counts less.
fn rate(mut turn: impl FnMut()) -> f64 {
    let begun = Instant::now();
    let mut turns = Vec::new();
    while begun.elapsed() < Duration::from_secs(2) {
        let start = processor_time();
        turn();
        turns.push(processor_time() - start);
    }
    turns.sort();
    ROWS as f64 / turns[turns.len() / 2].as_secs_f64()
}

/// Time that this thread has run; where Linux does not say it, the time of day.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    nanos.map_or_else(
        || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        Duration::from_nanos,
    )
}

fn encode(criterion: &mut Criterion) {
    compare(criterion, "customers, 12 columns", &data::customers(ROWS), false);
    compare(
        criterion,
        "flights in Debezium's envelope, 26 columns",
        &data::flights(ROWS),
        true,
    );
}

criterion_group!(benches, encode);
criterion_main!(benches);
