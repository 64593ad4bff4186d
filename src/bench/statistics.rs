//! Medians, quartiles and geometric means.

/// What a few samples say: the middle, and how far they lie apart.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread {
    /// The smallest.
    pub low: f64,
    /// A quarter is below it.
    pub first_quartile: f64,
    /// Half is below it.
    pub median: f64,
    /// A quarter is above it.
    pub third_quartile: f64,
    /// The largest.
    pub high: f64,
}

impl Spread {
    /// The spread of some samples; none of nothing.
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Some(Spread {
            low: *sorted.first()?,
            first_quartile: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            third_quartile: quantile(&sorted, 0.75),
            high: *sorted.last()?,
        })
    }
}

/// The value below which this part of sorted, non-empty samples lies; between two it is weighted.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}

/// The geometric mean; none of nothing.
pub fn geometric(numbers: impl IntoIterator<Item = f64>) -> Option<f64> {
    let logs: Vec<f64> = numbers.into_iter().map(|n| n.max(1e-9).ln()).collect();
    let count = logs.len() as f64;
    (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / count).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_geometric_mean_of_a_ratio_and_its_inverse_is_one() {
        assert!((geometric([4.0, 0.25]).unwrap() - 1.0).abs() < 1e-12);
        assert!((geometric([2.0, 8.0]).unwrap() - 4.0).abs() < 1e-12);
        assert_eq!(geometric([]), None);
    }

    #[test]
    fn spread_of_some_samples_in_any_order() {
        let spread = Spread::of([9.0, 1.0, 5.0, 3.0, 7.0]).unwrap();
        assert_eq!((spread.low, spread.median, spread.high), (1.0, 5.0, 9.0));
        assert_eq!((spread.first_quartile, spread.third_quartile), (3.0, 7.0));
    }

    #[test]
    fn the_median_of_two_lies_between_them_and_of_one_is_itself() {
        assert_eq!(Spread::of([1.0, 2.0]).unwrap().median, 1.5);
        let one = Spread::of([4.0]).unwrap();
        assert_eq!(
            (one.low, one.first_quartile, one.median, one.high),
            (4.0, 4.0, 4.0, 4.0)
        );
        assert_eq!(Spread::of([]), None);
    }
}
