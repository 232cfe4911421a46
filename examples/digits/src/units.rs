//! Numbers go in; short text for people comes out.

/// A time with three figures, in the unit that suits it.
pub fn seconds(time: f64) -> String {
    match time {
        _ if time >= 1.0 => format!("{} s", figures(time)),
        _ if time >= 1e-3 => format!("{} ms", figures(time * 1e3)),
        _ => format!("{} µs", figures(time * 1e6)),
    }
}

/// A count with three figures, in thousands, millions or thousands of millions.
pub fn count(value: f64) -> String {
    match value {
        _ if value >= 1e9 => format!("{} G", figures(value / 1e9)),
        _ if value >= 1e6 => format!("{} M", figures(value / 1e6)),
        _ if value >= 1e3 => format!("{} k", figures(value / 1e3)),
        _ => figures(value),
    }
}

/// Who votes.
pub fn voters(k: usize) -> String {
    match k {
        1 => "its nearest other".to_string(),
        _ => format!("its {k} nearest others"),
    }
}

fn figures(value: f64) -> String {
    match value {
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suits_the_number() {
        assert_eq!(seconds(12.345), "12.3 s");
        assert_eq!(seconds(0.142), "142 ms");
        assert_eq!(seconds(0.000_85), "850 µs");
        assert_eq!(count(3.791e9), "3.79 G");
        assert_eq!(count(22.74e6), "22.7 M");
        assert_eq!(count(1234.0), "1.23 k");
        assert_eq!(count(7.0), "7.00");
        assert_eq!(voters(1), "its nearest other");
        assert_eq!(voters(10), "its 10 nearest others");
    }
}
