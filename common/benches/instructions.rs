//! Encodes flights `n` times over, for `valgrind --tool=callgrind`: the difference between two counts is instructions per row.

mod data;

use common::row::Stats;

const ROWS: usize = 1_000;

fn main() {
    let turns: usize = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(1);
    let plain = std::env::args().any(|argument| argument == "customers");
    let topic = if plain {
        data::customers(ROWS)
    } else {
        data::flights(ROWS)
    };
    let (mut encoder, mut out, mut stats) = (data::encoder(&topic, !plain), Vec::new(), Stats::default());
    for _ in 0..turns {
        out.clear();
        data::by_spolt(&topic, &mut encoder, &mut out, &mut stats);
    }
    println!(
        "{} rows, {} B of rows, {} B of values",
        ROWS * turns,
        out.len() * turns,
        topic.records.iter().map(|(_, v)| v.len()).sum::<usize>() * turns
    );
}
