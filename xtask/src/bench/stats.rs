//! Medians and percentiles. Not here: what is measured.

/// The middle value; of an even number the lower middle, which flatters nobody.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

/// The value below which `percent` of all lie, by the nearest rank; 0 of none.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!([median(&values), percentile(&values, 99), percentile(&values, 1)], [3.0, 5.0, 1.0]);
        assert_eq!(median(&[]), 0.0);
    }
}
