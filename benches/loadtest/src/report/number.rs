//! Numbers as people read them: three digits, or all of a large whole one, with its unit.

use super::Unit;

/// A value of a figure.
pub(crate) fn text(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Count => plain(value),
        Unit::PerSecond => format!("{} /s", plain(value)),
        Unit::PerCpuSecond => format!("{} /CPU s", plain(value)),
        Unit::Seconds => format!("{} s", plain(value)),
        Unit::Millis => format!("{} ms", plain(value)),
        Unit::Micros => format!("{} µs", plain(value)),
        Unit::Bytes => bytes(value),
        Unit::Cores => format!("{value:.2} cores"),
        Unit::Times => format!("{value:.2}×"),
    }
}

/// Without a unit: `0.123`, `1.23`, `123`, `1,234,567`.
pub(crate) fn plain(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    let size = value.abs();
    let decimals = match size {
        _ if size.fract() == 0.0 || size >= 99.95 => 0,
        9.995.. => 1,
        0.9995.. => 2,
        _ => 3,
    };
    let digits = format!("{size:.decimals$}");
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut text = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (index, digit) in whole.char_indices() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

fn bytes(value: f64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = value;
    if value.abs() < 1024.0 {
        return format!("{} B", plain(value.round()));
    }
    let mut name = "B";
    for unit in units {
        if value.abs() < 1024.0 {
            break;
        }
        value /= 1024.0;
        name = unit;
    }
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_read_them() {
        let rows = [
            (0.0, Unit::Count, "0"),
            (1_234_567.0, Unit::Count, "1,234,567"),
            (-1234.0, Unit::Count, "-1,234"),
            (999.0, Unit::Count, "999"),
            (1234.4, Unit::PerSecond, "1,234 /s"),
            (0.123_44, Unit::Millis, "0.123 ms"),
            (9.999, Unit::Millis, "10.0 ms"),
            (99.99, Unit::Millis, "100 ms"),
            (12.34, Unit::Micros, "12.3 µs"),
            (0.5, Unit::Cores, "0.50 cores"),
            (512.3, Unit::Bytes, "512 B"),
            (7_500.0, Unit::Bytes, "7.32 KiB"),
            (104_857_600.0, Unit::Bytes, "100 MiB"),
            (f64::NAN, Unit::Count, "-"),
        ];
        for (value, unit, expected) in rows {
            assert_eq!(text(value, unit), expected);
        }
    }
}
