//! Measures a straight line badly: "x,y" lines with noise, another one for every seed.

use std::fs::File;
use std::io::{BufWriter, Write};

const M: u64 = 2147483647;

fn main() -> std::io::Result<()> {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let (points, seed) = (args[0], args[1]);
    let mut random = seed * 16807 % M;
    let mut file = BufWriter::new(File::create("points.csv")?);
    for n in 0..points {
        random = random * 16807 % M; // the minimal standard generator of Park and Miller
        let (x, noise) = (n as f64 / points as f64, random as f64 / M as f64 - 0.5);
        writeln!(file, "{x},{}", 3.0 * x + 1.0 + noise)?;
    }
    file.flush()
}
