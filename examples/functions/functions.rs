//! Three ordinary functions; the same in functions.cpp and functions.go, and two of them in functions.c.

/// The arithmetic mean; NaN of nothing.
fn mean(xs: &[f64]) -> f64 {
    xs.iter().sum::<f64>() / xs.len() as f64
}

/// The first letters of all words, in capitals.
fn initials(text: &str) -> String {
    text.split_ascii_whitespace()
        .filter_map(|word| word.chars().next())
        .map(|letter| letter.to_ascii_uppercase())
        .collect()
}

struct Ball {
    name: String,
    height: f64,
    speed: f64,
}

/// Where a ball is after some seconds of free fall, unless it has hit the ground.
fn fall(ball: Ball, seconds: f64) -> Result<Ball, String> {
    let height = ball.height + ball.speed * seconds - 0.5 * 9.81 * seconds * seconds;
    if height < 0.0 {
        return Err(format!("{} hit the ground", ball.name));
    }
    Ok(Ball { height, speed: ball.speed - 9.81 * seconds, ..ball })
}
