//! Two functions: a straight line through the points of a file, and one estimate of many such lines.

struct Line {
    slope: f64,
    start: f64,
}

struct Estimate {
    slope: f64,
    error: f64,
    lines: u32,
}

/// The line with the least squares through the points of a CSV file.
fn fit(path: &str) -> Result<Line, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let (mut n, mut sx, mut sy, mut sxx, mut sxy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for line in text.lines() {
        let (x, y) = line.split_once(',').ok_or(format!("{path}: {line} is no point"))?;
        let x: f64 = x.parse().map_err(|_| format!("{path}: {x} is no number"))?;
        let y: f64 = y.parse().map_err(|_| format!("{path}: {y} is no number"))?;
        n += 1.0;
        sx += x;
        sy += y;
        sxx += x * x;
        sxy += x * y;
    }
    let slope = (n * sxy - sx * sy) / (n * sxx - sx * sx);
    Ok(Line { slope, start: (sy - slope * sx) / n })
}

/// The mean slope of all lines, and its standard error.
fn estimate(lines: &[Line]) -> Estimate {
    let n = lines.len() as f64;
    let slope = lines.iter().map(|line| line.slope).sum::<f64>() / n;
    let squares = lines.iter().map(|line| (line.slope - slope).powi(2)).sum::<f64>();
    Estimate { slope, error: (squares / (n - 1.0) / n).sqrt(), lines: lines.len() as u32 }
}
