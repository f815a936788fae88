//! `cargo bench --workspace [STAGE]`: the time of each stage.
//!
//! With the name of a stage and a number, runs it as often as that, for `tests/bench/instructions`;
//! with `--names`, lists the stages.

#![expect(clippy::print_stdout, reason = "the list is the output")]

use stages::STAGES;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--names"] => STAGES.iter().for_each(|(name, _)| println!("{name}")),
        [name, count] if count.parse::<u32>().is_ok() => {
            let mut run = prepared(name);
            for _ in 0..count.parse().unwrap_or(0_u32) {
                run();
            }
        }
        _ => divan::main(),
    }
}

fn prepared(name: &str) -> stages::Run {
    let found = STAGES.iter().find(|(stage, _)| *stage == name);
    let (_, prepare) = found.expect("one of the stages");
    prepare()
}

#[divan::bench(args = STAGES.iter().map(|(name, _)| *name))]
fn stage(bencher: divan::Bencher<'_, '_>, name: &str) {
    bencher.bench_local(prepared(name));
}
