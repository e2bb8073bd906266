//! A plot of throughput against file size, as SVG.

use std::fmt::Write;

use super::large::size;

/// One half of the plot.
pub(super) struct Panel {
    pub(super) title: &'static str,
    pub(super) series: Vec<Series>,
}

/// A tool's line: bytes of file and MiB/s, by rising size.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(u64, f64)>,
}

/// Panels side by side on common axes, both logarithmic, and a legend below. Readable on light and dark ground.
pub(super) fn svg(panels: &[Panel]) -> String {
    let points = || panels.iter().flat_map(|panel| &panel.series).flat_map(|series| &series.points);
    let mut sizes: Vec<u64> = points().map(|point| point.0).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let (Some(first), Some(last)) = (sizes.first(), sizes.last()) else { return String::new() };
    let axes = Axes {
        x: Scale { low: (*first as f64).log2(), high: (*last as f64).log2(), from: 0.0, to: PANEL_WIDTH },
        y: decades(points().map(|point| point.1)),
    };
    let width = MARGIN_LEFT + panels.len() as f64 * (PANEL_WIDTH + GAP);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" width=\"{width}\" height=\"{HEIGHT}\" \
         role=\"img\" aria-label=\"Throughput against file size\">\n{STYLE}\n<rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n"
    );
    for (panel, number) in panels.iter().zip(0_u8..) {
        let left = MARGIN_LEFT + f64::from(number) * (PANEL_WIDTH + GAP);
        let _ = writeln!(text, "<g transform=\"translate({left} {MARGIN_TOP})\">");
        axes.draw(&mut text, panel.title, &sizes, number == 0);
        for (series, look) in panel.series.iter().zip(LOOKS.iter().cycle()) {
            line(&mut text, series, look, &axes);
        }
        text.push_str("</g>\n");
    }
    if let Some(panel) = panels.first() {
        legend(&mut text, &panel.series);
    }
    text.push_str("</svg>\n");
    text
}

/// Maps the logarithm of a value to a place.
struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    fn at(&self, logarithm: f64) -> f64 {
        let span = (self.high - self.low).max(f64::MIN_POSITIVE);
        self.from + (logarithm - self.low) / span * (self.to - self.from)
    }
}

struct Axes {
    x: Scale,
    y: Scale,
}

impl Axes {
    fn place(&self, (len, mib_per_sec): (u64, f64)) -> (f64, f64) {
        (self.x.at((len as f64).log2()), self.y.at(mib_per_sec.log10()))
    }

    fn draw(&self, text: &mut String, title: &str, sizes: &[u64], labelled: bool) {
        let middle = PANEL_WIDTH / 2.0;
        let _ = writeln!(text, "<text class=\"title\" x=\"{middle}\" y=\"-12\">{title}</text>");
        for power in self.y.low as i32..=self.y.high as i32 {
            let y = self.y.at(f64::from(power));
            let _ = writeln!(text, "<line class=\"grid\" x2=\"{PANEL_WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
            if labelled {
                let label = 10_f64.powi(power);
                let _ = writeln!(text, "<text class=\"right\" x=\"-8\" y=\"{:.1}\">{label}</text>", y + 4.0);
            }
        }
        for len in sizes {
            let x = self.x.at((*len as f64).log2());
            let _ =
                writeln!(text, "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y2=\"{PANEL_HEIGHT}\"/>");
            let label = size(*len);
            let _ = writeln!(text, "<text x=\"{x:.1}\" y=\"{:.1}\">{label}</text>", PANEL_HEIGHT + 18.0);
        }
        let _ =
            writeln!(text, "<text x=\"{middle}\" y=\"{:.1}\">size of the file</text>", PANEL_HEIGHT + 38.0);
        if labelled {
            let y = PANEL_HEIGHT / 2.0;
            let _ = writeln!(
                text,
                "<text transform=\"translate(-58 {y}) rotate(-90)\">throughput (MiB/s)</text>"
            );
        }
    }
}

/// The powers of ten around all values.
fn decades(values: impl Iterator<Item = f64>) -> Scale {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        low = low.min(value.log10().floor());
        high = high.max(value.log10().ceil());
    }
    Scale { low, high: high.max(low + 1.0), from: PANEL_HEIGHT, to: 0.0 }
}

/// How a line is told from the others: not by its colour alone.
struct Look {
    colour: &'static str,
    dashes: &'static str,
    mark: Mark,
}

enum Mark {
    Circle,
    Square,
    Diamond,
}

impl Look {
    fn stroke(&self) -> String {
        format!(
            "fill=\"none\" stroke=\"{}\" stroke-dasharray=\"{}\" stroke-width=\"2\"",
            self.colour, self.dashes
        )
    }

    fn mark(&self, text: &mut String, x: f64, y: f64) {
        let fill = self.colour;
        let _ = match self.mark {
            Mark::Circle => writeln!(text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{fill}\"/>"),
            Mark::Square => writeln!(
                text,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"7\" height=\"7\" fill=\"{fill}\"/>",
                x - 3.5,
                y - 3.5
            ),
            Mark::Diamond => {
                writeln!(text, "<path d=\"M{x:.1} {y:.1}m0 -5l5 5l-5 5l-5 -5z\" fill=\"{fill}\"/>")
            }
        };
    }
}

fn line(text: &mut String, series: &Series, look: &Look, axes: &Axes) {
    let places: Vec<(f64, f64)> = series.points.iter().map(|point| axes.place(*point)).collect();
    let points: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(text, "<polyline points=\"{}\" {}/>", points.join(" "), look.stroke());
    places.iter().for_each(|(x, y)| look.mark(text, *x, *y));
}

fn legend(text: &mut String, series: &[Series]) {
    let _ = writeln!(text, "<g transform=\"translate({MARGIN_LEFT} {})\">", HEIGHT - 20.0);
    for ((series, look), number) in series.iter().zip(LOOKS.iter().cycle()).zip(0_u8..) {
        let x = f64::from(number) * LEGEND_WIDTH;
        let _ = writeln!(text, "<line x1=\"{x}\" x2=\"{}\" {}/>", x + 44.0, look.stroke());
        look.mark(text, x + 22.0, 0.0);
        let _ = writeln!(text, "<text class=\"left\" x=\"{}\" y=\"4\">{}</text>", x + 52.0, series.name);
    }
    text.push_str("</g>\n");
}

/// Colours that differ in lightness too, after Okabe and Ito, for either ground.
#[rustfmt::skip]
const LOOKS: &[Look] = &[
    Look { colour: "#d55e00", dashes: "none", mark: Mark::Circle },
    Look { colour: "#808790", dashes: "6 4", mark: Mark::Square },
    Look { colour: "#3f8fd8", dashes: "none", mark: Mark::Diamond },
    Look { colour: "#c86fa6", dashes: "2 3", mark: Mark::Circle },
    Look { colour: "#0f9d76", dashes: "8 3 2 3", mark: Mark::Square },
    Look { colour: "#b08a00", dashes: "4 2", mark: Mark::Diamond },
];

/// The ground is drawn too: a page may be dark where the reader's system is light.
const STYLE: &str = "<style>
text { font: 13px sans-serif; fill: #1f2328; text-anchor: middle }
.title { font-weight: bold; font-size: 15px }
.left { text-anchor: start }
.right { text-anchor: end }
.ground { fill: #ffffff }
.grid { stroke: #d0d7de }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .ground { fill: #0d1117 }
  .grid { stroke: #30363d }
}
</style>";

const HEIGHT: f64 = 460.0;
const MARGIN_LEFT: f64 = 80.0;
const MARGIN_TOP: f64 = 40.0;
const PANEL_WIDTH: f64 = 460.0;
const PANEL_HEIGHT: f64 = 330.0;
const GAP: f64 = 60.0;
const LEGEND_WIDTH: f64 = 150.0;

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn axes_are_logarithmic_and_larger_is_higher() {
        let y = decades([15.0, 900.0].into_iter());
        assert_eq!((y.low, y.high), (1.0, 3.0));
        assert_eq!([1.0, 2.0, 3.0].map(|power| y.at(power)), [PANEL_HEIGHT, PANEL_HEIGHT / 2.0, 0.0]);
        let one = decades([10.0].into_iter());
        assert_eq!((one.low, one.high), (1.0, 2.0));
    }

    #[test]
    fn every_series_is_drawn_in_every_panel_and_named_once() {
        let series = |name: &str| Series { name: name.into(), points: vec![(4096, 1.0), (1 << 20, 100.0)] };
        let panel = |title| Panel { title, series: vec![series("waxwing"), series("cp")] };
        let text = svg(&[panel("Seal"), panel("Open")]);
        assert_eq!(text.matches("<polyline").count(), 4);
        assert_eq!(text.matches(">cp</text>").count(), 1);
        assert_eq!(text.matches(">4 KiB</text>").count(), 2);
        assert_eq!(text.matches(">100</text>").count(), 1);
        assert_eq!(text.matches("<g ").count(), text.matches("</g>").count());
    }

    #[test]
    fn nothing_measured_is_nothing_drawn() {
        assert_eq!(svg(&[Panel { title: "Seal", series: Vec::new() }]), "");
    }
}
