//! Chores of this repository: tidy, gen, images, demo, test, bench.

fn main() {}
