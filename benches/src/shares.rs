//! How evenly something is shared out, and how far measurements lie apart.

/// Jain's index of fairness: 1 when all have as much, 1/n when one has it all (Jain, Chiu, Hawe: *A
/// Quantitative Measure of Fairness*, DEC-TR-301, 1984). Not a number for none, or when nobody has any.
#[must_use]
pub fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (shares.len() as f64 * squares)
}

/// The lower quartile, the median and the upper quartile; none of no values.
#[must_use]
pub fn quartiles(values: impl IntoIterator<Item = f64>) -> Option<[f64; 3]> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let at = |quarters: usize| {
        let place = (sorted.len() - 1) * quarters;
        let (low, high) = (sorted[place / 4], sorted[place.div_ceil(4)]);
        low + (high - low) * (place % 4) as f64 / 4.0
    };
    (!sorted.is_empty()).then(|| [1, 2, 3].map(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_knows_equal_shares_from_one_that_has_all() {
        assert!((jain(&[3.0, 3.0, 3.0]) - 1.0).abs() < 1e-9);
        assert!((jain(&[9.0, 0.0, 0.0]) - 1.0 / 3.0).abs() < 1e-9);
        assert!(jain(&[]).is_nan());
    }

    #[test]
    fn quartiles_lie_between_their_neighbours() {
        assert_eq!(quartiles([3.0, 1.0, 2.0]), Some([1.5, 2.0, 2.5]));
        assert_eq!(quartiles([7.0]), Some([7.0; 3]));
        assert_eq!(quartiles([]), None);
    }
}
