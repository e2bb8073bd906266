//! The burn-down as SVG, readable on light and dark ground.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use waxwing_profiles::policy::Date;

use super::Run;

/// Of the whole picture, and of the field inside its axes, in SVG's units.
const WIDTH: f64 = 720.0;
const FIELD: (f64, f64, f64, f64) = (60.0, 40.0, 640.0, 240.0);
const LEGEND_TOP: f64 = 350.0;
const LEGEND_LINE: f64 = 18.0;
const SECS_PER_DAY: u64 = 24 * 60 * 60;
/// Okabe and Ito's colours, told apart by everybody, without black.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b8ab00"];

/// The legacy files of each scheme over the runs.
pub(super) fn draw(runs: &[Run]) -> String {
    let (left, top, width, height) = FIELD;
    let schemes: BTreeSet<&str> = runs.iter().flat_map(|run| run.legacy.keys().map(String::as_str)).collect();
    let most = runs.iter().flat_map(|run| run.legacy.values()).copied().max().unwrap_or(0).max(1);
    let (first, last) = (runs.first().map_or(0, |run| run.time), runs.last().map_or(0, |run| run.time));
    let place = |at: usize, run: &Run, files: u64| {
        let along = match last - first {
            0 => at as f64 / (runs.len().max(2) - 1) as f64,
            span => (run.time - first) as f64 / span as f64,
        };
        (left + along * width, top + height - files as f64 / most as f64 * height)
    };
    let total = LEGEND_TOP + LEGEND_LINE * (schemes.len() + 1) as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {total}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <style>text {{ fill: #333 }} .axis {{ stroke: #888 }} @media (prefers-color-scheme: dark) {{ text {{ fill: #ddd }} }}</style>\n\
         <text x=\"{left}\" y=\"22\">Files under legacy schemes</text>\n\
         <path class=\"axis\" fill=\"none\" d=\"M{left} {top}V{0}H{1}\"/>\n\
         <text x=\"{2}\" y=\"{3}\" text-anchor=\"end\">{most}</text>\n\
         <text x=\"{2}\" y=\"{0}\" text-anchor=\"end\">0</text>\n\
         <text x=\"20\" y=\"{4}\" text-anchor=\"middle\" transform=\"rotate(-90 20 {4})\">files</text>\n",
        top + height,
        left + width,
        left - 8.0,
        top + 5.0,
        top + height / 2.0,
    );
    for (x, anchor, time) in [(left, "start", first), (left + width, "end", last)] {
        let (y, date) = (top + height + 20.0, date(time));
        writeln!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{date}</text>")
            .expect("it is text");
    }
    writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">date of the run</text>",
        left + width / 2.0,
        top + height + 40.0
    )
    .expect("it is text");
    for (number, scheme) in schemes.into_iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let points: Vec<(f64, f64)> = runs
            .iter()
            .enumerate()
            .map(|(at, run)| place(at, run, run.legacy.get(scheme).copied().unwrap_or(0)))
            .collect();
        let line: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let y = LEGEND_TOP + LEGEND_LINE * number as f64;
        write!(
            svg,
            "<g fill=\"{colour}\"><polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
            line.join(" ")
        )
        .expect("it is text");
        for (x, y) in points {
            write!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>").expect("it is text");
        }
        writeln!(
            svg,
            "<rect x=\"{left}\" y=\"{}\" width=\"12\" height=\"12\"/></g><text x=\"{}\" y=\"{y}\">{}</text>",
            y - 11.0,
            left + 20.0,
            escaped(scheme)
        )
        .expect("it is text");
    }
    svg + "</svg>\n"
}

fn date(time: u64) -> Date {
    Date::from_unix_days(u32::try_from(time / SECS_PER_DAY).unwrap_or(u32::MAX))
}

/// The history is a file that others may write to.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
