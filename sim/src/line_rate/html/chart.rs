//! Line charts as inline SVG: colours from the page's style sheet, so that one drawing serves a light and a dark page, and
//! a title and a description for those who don't see it.

use super::axis::Axis;
use maud::{Markup, html};

/// Size of the drawing, in its own units; the page scales it.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
const RIGHT: f64 = 16.0;
const BOTTOM: f64 = 58.0;
/// Height of one line of the legend.
const LEGEND_LINE: f64 = 22.0;
/// Width of a character, near enough to keep texts apart.
const CHARACTER: f64 = 7.3;

/// One chart.
pub(super) struct Chart {
    /// Prefix of the identifiers in the page.
    pub(super) id: String,
    pub(super) title: String,
    /// What a reader should see in it, in words.
    pub(super) description: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
}

/// One line of a chart.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) look: Look,
    pub(super) points: Vec<(f64, f64)>,
}

/// How a series is drawn. Colour never stands alone: line pattern and marker differ too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// A limit: dashed, without markers.
    Limit(u8),
    /// A measured line with markers, of the palette's colour with this number.
    Line(u8),
    /// Markers alone.
    Dots(u8),
}

impl Look {
    /// Number of the palette's colour, from 1.
    fn number(self) -> u8 {
        let (Self::Limit(number) | Self::Line(number) | Self::Dots(number)) = self;
        number % COLOURS + 1
    }

    fn class(self) -> String {
        let kind = match self {
            Self::Limit(_) => "limit",
            Self::Line(_) => "line",
            Self::Dots(_) => "dots",
        };
        format!("series {kind} c{}", self.number())
    }
}

/// Colours in the style sheet (`.c1` …).
pub(super) const COLOURS: u8 = 6;

/// The rectangle in which values stand.
struct Plot<'a> {
    chart: &'a Chart,
    left: f64,
    top: f64,
}

impl Chart {
    /// The drawing.
    pub(super) fn svg(&self) -> Markup {
        let (legend, legend_height) = self.legend();
        let plot = Plot {
            chart: self,
            left: 30.0
                + CHARACTER
                    * self
                        .y
                        .ticks
                        .iter()
                        .map(|tick| tick.text.chars().count())
                        .max()
                        .unwrap_or(0) as f64,
            top: 14.0 + legend_height,
        };
        let (title, description) = (format!("{}-title", self.id), format!("{}-desc", self.id));
        html! {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby=(title) aria-describedby=(description) {
                title id=(title) { (self.title) }
                desc id=(description) { (self.description) }
                (legend)
                (plot.axes())
                @for series in &self.series { (plot.series(series)) }
            }
        }
    }

    /// Names of the series from left to right, and the height that they take.
    fn legend(&self) -> (Markup, f64) {
        let (mut x, mut y) = (WIDTH - RIGHT, 0.0);
        let mut entries = Vec::new();
        // From the right edge, so that the legend ends where the plot does.
        for series in self.series.iter().rev() {
            let width = 46.0 + CHARACTER * series.name.chars().count() as f64;
            if x - width < 0.0 {
                (x, y) = (WIDTH - RIGHT, y + LEGEND_LINE);
            }
            x -= width;
            entries.push((x, y + 13.0, series));
        }
        let markup = html! {
            @for (x, y, series) in entries.iter().rev() {
                g class=(format!("legend {}", series.look.class())) {
                    @if !matches!(series.look, Look::Dots(_)) {
                        line x1=(number(*x)) y1=(number(y - 4.0)) x2=(number(x + 26.0)) y2=(number(y - 4.0)) {}
                    }
                    @if !matches!(series.look, Look::Limit(_)) { (marker(series.look, x + 13.0, y - 4.0)) }
                    text class="legend-name" x=(number(x + 32.0)) y=(number(*y)) { (series.name) }
                }
            }
        };
        (markup, y + LEGEND_LINE)
    }
}

impl Plot<'_> {
    fn x(&self, value: f64) -> f64 {
        self.left + self.chart.x.place(value) * (WIDTH - RIGHT - self.left)
    }

    fn y(&self, value: f64) -> f64 {
        let bottom = HEIGHT - BOTTOM;
        bottom - self.chart.y.place(value) * (bottom - self.top)
    }

    fn axes(&self) -> Markup {
        let Self { chart, left, top } = self;
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let y_middle = (top + bottom) / 2.0;
        html! {
            g class="grid" aria-hidden="true" {
                @for tick in &chart.y.ticks {
                    line x1=(number(*left)) x2=(number(right)) y1=(number(self.y(tick.at))) y2=(number(self.y(tick.at))) {}
                }
                @for tick in &chart.x.ticks {
                    line x1=(number(self.x(tick.at))) x2=(number(self.x(tick.at))) y1=(number(*top)) y2=(number(bottom)) {}
                }
            }
            g class="axis" {
                path d=(format!("M{} {}V{}H{}", number(*left), number(*top), number(bottom), number(right))) {}
                @for tick in &chart.x.ticks {
                    text class="tick x" x=(number(self.x(tick.at))) y=(number(bottom + 19.0)) { (tick.text) }
                }
                @for tick in &chart.y.ticks {
                    text class="tick y" x=(number(left - 8.0)) y=(number(self.y(tick.at) + 4.5)) { (tick.text) }
                }
                text class="axis-label x" x=(number((left + right) / 2.0)) y=(number(HEIGHT - 12.0)) { (chart.x.label) }
                text class="axis-label y" transform=(format!("translate(15 {}) rotate(-90)", number(y_middle))) { (chart.y.label) }
            }
        }
    }

    fn series(&self, series: &Series) -> Markup {
        let Chart { x, y, .. } = self.chart;
        let inside = |value: f64| value.is_finite() && (-1e-6..=1.0 + 1e-6).contains(&value);
        let points: Vec<(f64, f64)> = series
            .points
            .iter()
            .copied()
            .filter(|point| inside(x.place(point.0)) && inside(y.place(point.1)))
            .collect();
        let path: Vec<String> = points
            .iter()
            .map(|point| format!("{},{}", number(self.x(point.0)), number(self.y(point.1))))
            .collect();
        html! {
            g class=(series.look.class()) data-name=(series.name) {
                @if !matches!(series.look, Look::Dots(_)) { polyline points=(path.join(" ")) {} }
                @if !matches!(series.look, Look::Limit(_)) {
                    @for point in &points { (marker(series.look, self.x(point.0), self.y(point.1))) }
                }
            }
        }
    }
}

/// A marker, its shape by the number of the series.
fn marker(look: Look, x: f64, y: f64) -> Markup {
    let at = |dx: f64, dy: f64| format!("{} {}", number(x + dx), number(y + dy));
    let polygon = |corners: &[(f64, f64)]| {
        let corners: Vec<String> = corners.iter().map(|(dx, dy)| at(*dx, *dy)).collect();
        format!("M{}Z", corners.join("L"))
    };
    let path = match look.number() {
        1 => polygon(&[(-4.0, 0.0), (0.0, -4.0), (4.0, 0.0), (0.0, 4.0)]),
        2 => return html! { circle class="marker" cx=(number(x)) cy=(number(y)) r="3.6" {} },
        3 => polygon(&[(-3.4, -3.4), (3.4, -3.4), (3.4, 3.4), (-3.4, 3.4)]),
        4 => polygon(&[(-4.2, 3.4), (0.0, -4.2), (4.2, 3.4)]),
        5 => polygon(&[(-4.2, -3.4), (0.0, 4.2), (4.2, -3.4)]),
        _ => polygon(&[(-4.6, 0.0), (0.0, -4.6), (4.6, 0.0), (0.0, 4.6)]),
    };
    html! { path class="marker" d=(path) {} }
}

/// A coordinate: a tenth of a unit is finer than any screen.
fn number(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    // Minus zero prints its sign.
    format!("{}", if rounded == 0.0 { 0.0 } else { rounded })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        Chart {
            id: "goodput".to_owned(),
            title: "Goodput & <more>".to_owned(),
            description: "Rises".to_owned(),
            x: Axis::at_values("Frame size (octets)", [64.0, 9000.0], 0.1),
            y: Axis::from_zero("Goodput (Gb/s)", points.iter().map(|point| point.1)),
            series: vec![
                Series {
                    name: "limit".to_owned(),
                    look: Look::Limit(0),
                    points: points.clone(),
                },
                Series {
                    name: "encrypted".to_owned(),
                    look: Look::Line(1),
                    points,
                },
            ],
        }
    }

    #[test]
    fn texts_are_escaped_and_the_drawing_is_named_by_them() {
        let svg = chart(vec![(64.0, 30.0), (9000.0, 98.0)]).svg().into_string();
        assert!(svg.contains("Goodput &amp; &lt;more&gt;"));
        assert!(svg.contains("aria-labelledby=\"goodput-title\"") && svg.contains("<title id=\"goodput-title\">"));
        assert!(svg.contains("Frame size (octets)") && svg.contains("Goodput (Gb/s)"));
    }

    #[test]
    fn a_point_stands_where_its_axes_say() {
        let mut chart = chart(vec![(64.0, 50.0), (9000.0, 100.0)]);
        chart.series.truncate(1);
        let svg = chart.svg().into_string();
        let points = svg.split("points=\"").nth(1).and_then(|rest| rest.split('"').next());
        let points: Vec<f64> = points
            .unwrap_or_default()
            .split([' ', ','])
            .filter_map(|number| number.parse().ok())
            .collect();
        let [x1, y1, x2, y2] = points[..] else {
            panic!("two points expected: {points:?}")
        };
        let (top, bottom) = (14.0 + LEGEND_LINE, HEIGHT - BOTTOM);
        assert!(x1 < x2 && x2 < WIDTH - RIGHT);
        assert!((y2 - top).abs() < 0.1, "100 stands at the top: {y2}");
        assert!((y1 - (top + bottom) / 2.0).abs() < 0.1, "50 stands in the middle: {y1}");
    }

    #[test]
    fn values_that_no_axis_holds_are_left_out() {
        let svg = chart(vec![
            (64.0, f64::NAN),
            (0.0, 5.0),
            (128.0, 5.0),
            (f64::INFINITY, 1.0),
            (256.0, -3.0),
        ])
        .svg()
        .into_string();
        assert_eq!(
            svg.matches("class=\"marker\"").count(),
            2,
            "one point and the legend's: {svg}"
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn a_long_legend_takes_more_lines() {
        let mut chart = chart(vec![(64.0, 1.0)]);
        let (_, one) = chart.legend();
        for i in 0..8 {
            chart.series.push(Series {
                name: format!("a series with a name {i}"),
                look: Look::Line(i),
                points: Vec::new(),
            });
        }
        assert!(chart.legend().1 >= one + LEGEND_LINE);
    }
}
