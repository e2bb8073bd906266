//! What was measured, by name, and the middle of it.

use std::collections::BTreeMap;
use std::fmt;

/// Figures by name, one for each round: seconds a file, unless the name says another unit.
///
/// A name is `contest/operation/entrant`, such as `memory/seal/cp`; what is no contest has two parts.
#[derive(Debug, Default)]
pub(super) struct Figures(BTreeMap<String, Vec<f64>>);

impl Figures {
    /// Adds a figure of the next round.
    pub(super) fn push(&mut self, name: impl Into<String>, figure: f64) {
        self.0.entry(name.into()).or_default().push(figure);
    }

    /// The figures of all rounds; none when nothing was measured under this name.
    pub(super) fn of(&self, name: &str) -> &[f64] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// The middle of the figures, if there are any.
    pub(super) fn median(&self, name: &str) -> Option<f64> {
        let figures = self.of(name);
        (!figures.is_empty()).then(|| Spread::of(figures.iter().copied()).median)
    }

    /// Names the larger of two figures in each round.
    pub(super) fn push_larger(&mut self, name: &str, one: &str, other: &str) {
        let larger = self.of(one).iter().zip(self.of(other)).map(|(one, other)| one.max(*other)).collect();
        self.0.insert(name.to_owned(), larger);
    }
}

/// The middle of some numbers and how far they lie apart.
#[derive(Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    /// All are NaN when there are no numbers.
    pub(super) fn of(numbers: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = numbers.collect();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let upper = sorted.len() / 2;
        let lower = upper.saturating_sub(usize::from(sorted.len().is_multiple_of(2)));
        Self {
            median: f64::midpoint(at(lower), at(upper)),
            min: at(0),
            max: at(sorted.len().wrapping_sub(1)),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = f.precision().unwrap_or(2);
        write!(f, "{:.places$} ({:.places$}–{:.places$})", self.median, self.min, self.max)
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0].into_iter()), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0].into_iter()).median, 2.5);
        assert!(Spread::of(std::iter::empty()).median.is_nan());
    }

    #[test]
    fn the_larger_is_found_in_each_round() {
        let mut figures = Figures::default();
        for (one, other) in [(1.0, 2.0), (4.0, 3.0)] {
            figures.push("one", one);
            figures.push("other", other);
        }
        figures.push_larger("larger", "one", "other");
        assert_eq!(figures.of("larger"), [2.0, 4.0]);
        figures.push_larger("absent", "one", "no such figure");
        assert_eq!(figures.median("absent"), None);
    }
}
