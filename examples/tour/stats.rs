//! Statistics of the first n numbers of the minimal standard generator: x' = 16807 x mod (2^31 - 1).

const M: u64 = 2147483647;

fn row(name: &str, value: f64) {
    println!("{name:<10} {value:>14.6}");
}

fn main() {
    let n: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    if n < 2 {
        eprintln!("usage: stats N (two numbers or more)");
        std::process::exit(2);
    }

    let mut series: Vec<u64> = std::iter::successors(Some(16807), |x| Some(x * 16807 % M)).take(n).collect();
    let last = series[n - 1];
    let (mut sum, mut squares, mut inside, mut previous) = (0.0, 0.0, 0.0, 0.0);
    let mut buckets = [0.0; 10];
    for (i, x) in series.iter().enumerate() {
        let u = *x as f64 / M as f64;
        sum += u;
        squares += u * u;
        buckets[(u * 10.0) as usize] += 1.0;
        if i % 2 == 1 && previous * previous + u * u < 1.0 {
            inside += 1.0;
        }
        previous = u;
    }
    series.sort_unstable();

    let mean = sum / n as f64;
    let expected = n as f64 / 10.0;
    let chi2 = buckets.iter().fold(0.0, |chi2, found| chi2 + (found - expected) * (found - expected) / expected);
    row("n", n as f64);
    row("last", last as f64);
    row("mean", mean);
    row("deviation", (squares / n as f64 - mean * mean).sqrt());
    row("median", series[n / 2] as f64 / M as f64);
    row("chi2", chi2);
    row("pi", 4.0 * inside / (n / 2) as f64);
}
