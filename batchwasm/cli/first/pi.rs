// An estimate of pi from the first n terms of 4/1 - 4/3 + 4/5 - ...
fn main() {
    let n: u64 = std::env::args().nth(1).and_then(|s| s.parse().ok()).expect("usage: pi TERMS");
    let mut sum = 0.0;
    for k in (0..n).rev() {
        let term = 4.0 / (2 * k + 1) as f64;
        sum += if k % 2 == 0 { term } else { -term };
    }
    println!("{} terms: {:.12}", n, sum);
}
