//! Axes: from a value to a place between 0 and 1, and the ticks beside it.

/// One axis of a chart.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    /// Quantity and unit, as printed along the axis.
    pub(super) label: String,
    pub(super) ticks: Vec<Tick>,
    low: f64,
    high: f64,
    is_log: bool,
}

/// A mark on an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) text: String,
}

/// How many ticks a linear axis has at most, the one at zero not counted.
const LINEAR_TICKS: f64 = 6.0;

impl Axis {
    /// From zero to a round number at or above the greatest value.
    pub(super) fn from_zero(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let greatest = values.into_iter().filter(|value| value.is_finite()).fold(0.0, f64::max);
        let greatest = if greatest > 0.0 { greatest } else { 1.0 };
        let step = round_step(greatest / LINEAR_TICKS);
        // A value on the edge, less what division leaves behind, needs no further step.
        let steps = (greatest / step - 1e-9).ceil();
        Self {
            label: label.to_owned(),
            ticks: (0..=steps as u32)
                .map(|i| Tick::number(step * f64::from(i), step))
                .collect(),
            low: 0.0,
            high: step * steps,
            is_log: false,
        }
    }

    /// Percent, up to 100 or just above the greatest value, from a multiple of ten below the least: for shares that are
    /// all near 100. It starts at zero where they are not.
    pub(super) fn share(label: &str, values: impl IntoIterator<Item = f64> + Clone) -> Self {
        let finite = |value: &f64| value.is_finite();
        let least = values.clone().into_iter().filter(finite).fold(100.0, f64::min);
        let greatest = values.into_iter().filter(finite).fold(100.0, f64::max);
        let low = if least < 60.0 {
            0.0
        } else {
            ((least - 1.0) / 10.0).floor() * 10.0
        };
        let step = if low > 85.0 {
            2.0
        } else if low > 0.0 {
            10.0
        } else {
            20.0
        };
        let steps = ((greatest - low) / step - 1e-9).ceil();
        Self {
            label: label.to_owned(),
            ticks: (0..=steps as u32)
                .map(|i| Tick::number(low + step * f64::from(i), step))
                .collect(),
            low,
            high: low + step * steps,
            is_log: false,
        }
    }

    /// Whole decades around all values above zero; what is not above zero has no place on it.
    pub(super) fn decades(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let exponents = values
            .into_iter()
            .filter(|value| value.is_finite() && *value > 0.0)
            .map(f64::log10);
        let (low, high) = exponents.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), exponent| {
            (low.min(exponent), high.max(exponent))
        });
        let (low, high) = if low <= high { (low, high) } else { (0.0, 0.0) };
        let low = (low + 1e-9).floor() as i32;
        let high = ((high - 1e-9).ceil() as i32).max(low + 1);
        let between: &[f64] = if high - low > 2 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let top = 10f64.powi(high);
        let ticks = (low..=high)
            .flat_map(|exponent| between.iter().map(move |digit| digit * 10f64.powi(exponent)))
            .filter(|at| *at <= top * (1.0 + 1e-9));
        Self {
            label: label.to_owned(),
            ticks: ticks.map(|at| Tick { at, text: short(at) }).collect(),
            low: 10f64.powi(low),
            high: top,
            is_log: true,
        }
    }

    /// Logarithmic, with ticks at values that stand at least `gap` (share of the axis) apart, the least and the greatest among
    /// them.
    pub(super) fn at_values(label: &str, values: impl IntoIterator<Item = f64>, gap: f64) -> Self {
        let mut values: Vec<f64> = values
            .into_iter()
            .filter(|value| value.is_finite() && *value > 0.0)
            .collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let low = values.first().copied().unwrap_or(1.0);
        let high = values.last().copied().unwrap_or(1.0).max(low * 2.0);
        let mut axis = Self {
            label: label.to_owned(),
            ticks: Vec::new(),
            low: low / 1.1,
            high: high * 1.1,
            is_log: true,
        };
        // The ends come first, then the sizes that everyone knows, then the rest.
        let is_power = |value: f64| value.log2().fract() == 0.0;
        values.sort_by_key(|value| (*value != low, *value != high, !is_power(*value)));
        for value in values {
            let place = axis.place(value);
            let is_free = |tick: &Tick| (axis.place(tick.at) - place).abs() >= gap;
            if axis.ticks.iter().all(is_free) {
                axis.ticks.push(Tick {
                    at: value,
                    text: short(value),
                });
            }
        }
        axis.ticks.sort_by(|a, b| a.at.total_cmp(&b.at));
        axis
    }

    /// One place for each name, 0 for the first.
    pub(super) fn names(label: &str, names: &[String]) -> Self {
        Self {
            label: label.to_owned(),
            ticks: names
                .iter()
                .zip(0u32..)
                .map(|(name, i)| Tick {
                    at: f64::from(i),
                    text: name.clone(),
                })
                .collect(),
            low: -0.6,
            high: names.len().max(1) as f64 - 0.4,
            is_log: false,
        }
    }

    /// Where a value stands: 0 at the low end, 1 at the high end.
    pub(super) fn place(&self, value: f64) -> f64 {
        if self.is_log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }
}

impl Tick {
    fn number(at: f64, step: f64) -> Self {
        let decimals = if step >= 1.0 {
            0
        } else {
            (-step.log10()).ceil() as usize
        };
        Self {
            at,
            text: format!("{at:.decimals$}"),
        }
    }
}

/// The least of 1, 2, 2.5 and 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let round = [1.0, 2.0, 2.5, 5.0].into_iter().map(|digit| digit * power);
    let mut round = round.filter(|candidate| *candidate >= step * (1.0 - 1e-9));
    // 2.5 would need a decimal that the ticks do not print.
    round
        .find(|candidate| *candidate >= 10.0 || (candidate / power - 2.5).abs() > 1e-9)
        .unwrap_or(10.0 * power)
}

/// A number as a tick shows it: `9000`, `10 k`, `1 M`.
pub(super) fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{}\u{a0}M", v / 1e6),
        v if v >= 1e4 => format!("{}\u{a0}k", v / 1e3),
        // Powers of ten below one carry the error of their computation.
        v if v < 1.0 => format!("{}", (v * 1e9).round() / 1e9),
        v => format!("{v}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.text.as_str()).collect()
    }

    #[test]
    fn a_linear_axis_ends_on_a_round_number_not_below_the_greatest_value() {
        assert_eq!(
            texts(&Axis::from_zero("", [98.6, 100.0])),
            ["0", "20", "40", "60", "80", "100"]
        );
        assert_eq!(texts(&Axis::from_zero("", [0.31])), ["0.0", "0.1", "0.2", "0.3", "0.4"]);
        assert_eq!(texts(&Axis::from_zero("", [148.81]))[3], "75");
        for greatest in [0.001, 0.7, 1.0, 3.3, 64.0, 99.99, 399.0, 1e7] {
            let axis = Axis::from_zero("", [greatest]);
            let last = axis.ticks.last().map_or(0.0, |tick| tick.at);
            assert!(last >= greatest, "{greatest} is above {last}");
            assert!(axis.place(greatest) > 0.6, "{greatest} stands low");
            assert!(axis.ticks.len() <= 8, "{greatest}: {} ticks", axis.ticks.len());
        }
    }

    #[test]
    fn an_axis_without_values_still_has_two_ends() {
        for axis in [
            Axis::from_zero("", []),
            Axis::decades("", []),
            Axis::at_values("", [], 0.1),
            Axis::names("", &[]),
            Axis::from_zero("", [f64::NAN]),
            Axis::decades("", [0.0, f64::INFINITY]),
        ] {
            assert!(axis.place(1.0).is_finite(), "{axis:?}");
        }
    }

    #[test]
    fn an_axis_of_shares_shows_what_is_near_the_whole_and_hides_nothing_above_it() {
        assert_eq!(
            texts(&Axis::share("", [99.2, 99.9])),
            ["90", "92", "94", "96", "98", "100"]
        );
        assert_eq!(
            texts(&Axis::share("", [31.0, 100.0])),
            ["0", "20", "40", "60", "80", "100"]
        );
        assert_eq!(texts(&Axis::share("", [75.0])), ["70", "80", "90", "100"]);
        assert!(Axis::share("", [101.5]).place(101.5) <= 1.0);
    }

    #[test]
    fn decades_surround_the_values() {
        let axis = Axis::decades("", [0.8, 35.0]);
        assert_eq!(texts(&axis), ["0.1", "1", "10", "100"]);
        assert_eq!(
            texts(&Axis::decades("", [1.5, 35.0])),
            ["1", "2", "5", "10", "20", "50", "100"]
        );
        assert!(axis.place(0.8) > 0.0 && axis.place(35.0) < 1.0);
    }

    #[test]
    fn ticks_at_values_keep_apart_and_both_ends_have_one() {
        let sizes = [
            64.0, 65.0, 127.0, 128.0, 256.0, 512.0, 1024.0, 1280.0, 1454.0, 1514.0, 9000.0,
        ];
        let axis = Axis::at_values("", sizes, 0.06);
        assert_eq!(texts(&axis), ["64", "128", "256", "512", "1024", "1454", "9000"]);
        let places: Vec<f64> = axis.ticks.iter().map(|tick| axis.place(tick.at)).collect();
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= 0.06));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(short(1e6), "1\u{a0}M");
        assert_eq!(short(65536.0), "65.536\u{a0}k");
        assert_eq!(short(10f64.powi(-3)), "0.001");
    }
}
