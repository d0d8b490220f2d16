//! `[s3_spolt]`

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use common::claim::Compression;

use super::super::reader::Section;
use super::super::units::Size;
use super::super::{GcConfig, S3SpoltConfig, Start};
use super::choose::{at_least_one, choice, positive};
use super::topics::selection;

pub(super) fn s3_spolt(section: Section<'_>) -> S3SpoltConfig {
    section.required::<Vec<String>>(
        "topics",
        "list the topics to read, by name or by a pattern that begins with ^",
    );
    let topics = selection(&section);
    let group_id = section.or("group_id", "s3-spolt".to_owned());
    let start = start(&section);
    let http = section.or("http", SocketAddr::from((Ipv4Addr::LOCALHOST, 9308)));
    let cut_rows = at_least_one(&section, "cut_rows", section.or("cut_rows", 1_000_000_u64));
    let cut_bytes = section.or("cut_bytes", Size::mib(64));
    let cut_age = positive(&section, "cut_age", section.or("cut_age", Duration::from_mins(1)));
    let compression = choice(
        &section,
        "compression",
        &[("zstd", Compression::Zstd), ("gzip", Compression::Gzip)],
    );
    let level: u32 = section.or("compression_level", 1);
    let level_max = if compression == Compression::Zstd { 19 } else { 9 };
    if !(1..=level_max).contains(&level) {
        section.wrong(
            "compression_level",
            format!("`{level}` is not a level"),
            format!("write 1 to {level_max}"),
        );
    }
    let memory = section.or("memory", Size::mib(512));
    if memory < Size::mib(64) {
        section.wrong(
            "memory",
            format!("`{memory}` is too little to work in"),
            "write 64MiB or more",
        );
    }
    if cut_bytes >= memory {
        let hint = "an object is built in memory: make cut_bytes smaller, a quarter of the memory works well";
        section.wrong(
            "cut_bytes",
            format!("`{cut_bytes}` does not fit into s3_spolt.memory (`{memory}`)"),
            hint,
        );
    }
    if cut_bytes.bytes() == 0 || cut_bytes.bytes() > 5 << 30 {
        section.wrong(
            "cut_bytes",
            format!("`{cut_bytes}` is out of range"),
            "S3 takes 1 byte to 5 GiB in one PUT",
        );
    }
    let encode_threads: usize = section.or("encode_threads", 0);
    let uploads = at_least_one(&section, "uploads", section.or("uploads", 8_usize));
    let sealed_per_partition = at_least_one(
        &section,
        "sealed_per_partition",
        section.or("sealed_per_partition", 4_usize),
    );
    let shutdown = positive(&section, "shutdown", section.or("shutdown", Duration::from_secs(20)));
    let gc = gc(&section.section("gc"));
    section.finish();
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    S3SpoltConfig {
        topics,
        group_id,
        start,
        http,
        cut_rows,
        cut_bytes,
        cut_age,
        compression,
        compression_level: i32::try_from(level).unwrap_or(1),
        memory,
        encode_threads: if encode_threads == 0 { cores() } else { encode_threads },
        uploads,
        sealed_per_partition,
        shutdown,
        gc,
    }
}

fn gc(section: &Section<'_>) -> GcConfig {
    let targets: Vec<String> = section.or("targets", Vec::new());
    let retention = section.or("retention", Duration::from_hours(30 * 24));
    let every = positive(section, "every", section.or("every", Duration::from_hours(1)));
    GcConfig {
        targets: targets.into_iter().collect(),
        retention,
        every,
    }
}

fn start(section: &Section<'_>) -> Start {
    let text: String = section.or("start", "earliest".to_owned());
    match text.as_str() {
        "earliest" => Start::Earliest,
        "latest" => Start::Latest,
        time => match time.parse::<jiff::Timestamp>() {
            Ok(time) => Start::At(time.as_millisecond()),
            Err(_) => {
                let hint = "write \"earliest\", \"latest\" or a time with its zone such as \"2026-01-31T00:00:00Z\"";
                section.wrong("start", format!("`{time}` is no position"), hint);
                Start::Earliest
            }
        },
    }
}
