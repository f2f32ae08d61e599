//! The pictures of the page: small multiples on the same axes, and a bar of answers.

use super::super::{Named, Noisy, PhaseReport, Report, Second};
use super::push;
use crate::markup::escaped;

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 26.0;
const LINES: u32 = 4;

/// The axes that all panels share, so that they can be compared by eye.
#[derive(Debug)]
pub(super) struct Scale {
    seconds: f64,
    top_ms: f64,
}

impl Scale {
    pub(super) fn over<P: Named>(report: &Report<P>) -> Self {
        let all = || report.phases.iter().flat_map(|phase| &phase.series);
        let seconds = all().map(|second| second.second + 1).max().unwrap_or(1);
        let highest_ms = all().map(|second| second.p99_ms).fold(1.0, f64::max);
        Self {
            seconds: seconds as f64,
            top_ms: round_up(highest_ms),
        }
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * seconds / self.seconds
    }

    fn y(&self, ms: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (ms / self.top_ms).min(1.0)
    }
}

/// The next 1, 2, 2.5 or 5 with zeros, so that the lines of the grid stand at round numbers.
fn round_up(number: f64) -> f64 {
    let decade = 10_f64.powf(number.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0];
    let fits = |step: &f64| step * decade >= number * (1.0 - 1e-9);
    steps.into_iter().find(fits).unwrap_or(10.0) * decade
}

/// Tier 1 of one phase over time.
pub(super) fn panel<P: Named>(
    phase: &PhaseReport<P>,
    scale: &Scale,
    flat_ms: Option<f64>,
) -> String {
    let mut svg = String::new();
    push(
        &mut svg,
        format_args!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Tier-1 latency over time: {}\">\n",
            phase.name.title()
        ),
    );
    grid(&mut svg, scale);
    if let Some(flat_ms) = flat_ms {
        let (left, right, y) = (LEFT, WIDTH - RIGHT, scale.y(flat_ms));
        push(
            &mut svg,
            format_args!(
                "<line class=\"flat\" x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\n"
            ),
        );
    }
    let p99 = points(&phase.series, scale, |second| second.p99_ms);
    if let (Some((first, _)), Some((last, _))) = (p99.first(), p99.last()) {
        let (line, foot) = (path(&p99), scale.y(0.0));
        let median = path(&points(&phase.series, scale, |second| second.p50_ms));
        push(
            &mut svg,
            format_args!(
                "<path class=\"area\" d=\"{line} L{last:.1} {foot:.1} L{first:.1} {foot:.1} Z\"/>\n\
                 <path class=\"p50\" d=\"{median}\"/>\n<path class=\"p99\" d=\"{line}\"/>\n"
            ),
        );
    }
    for ((x, y), second) in p99.iter().zip(&phase.series) {
        push(
            &mut svg,
            format_args!(
                "<circle class=\"p99\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"><title>second {}: p99 {} ms, median {} ms, \
                 {} % of {} requests served</title></circle>\n",
                second.second, second.p99_ms, second.p50_ms, second.success_pct, second.requests
            ),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn grid(svg: &mut String, scale: &Scale) {
    let (left, right) = (LEFT, WIDTH - RIGHT);
    for line in 0..=LINES {
        let ms = scale.top_ms * f64::from(line) / f64::from(LINES);
        let (y, unit) = (scale.y(ms), if line == LINES { " ms" } else { "" });
        push(
            svg,
            format_args!(
                "<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{ms}{unit}</text>\n",
                left - 6.0,
                y + 3.5,
            ),
        );
    }
    let seconds = [(0.0, "start"), (scale.seconds, "end")];
    for (at, anchor) in seconds {
        push(
            svg,
            format_args!(
                "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{at} s</text>\n",
                scale.x(at),
                HEIGHT - 8.0,
            ),
        );
    }
}

/// One point in the middle of each second.
fn points(series: &[Second], scale: &Scale, ms: impl Fn(&Second) -> f64) -> Vec<(f64, f64)> {
    let point = |second: &Second| (scale.x(second.second as f64 + 0.5), scale.y(ms(second)));
    series.iter().map(point).collect()
}

fn path(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (place, (x, y)) in points.iter().enumerate() {
        let verb = if place == 0 { 'M' } else { 'L' };
        push(&mut path, format_args!("{verb}{x:.1} {y:.1} "));
    }
    path.trim_end().to_owned()
}

/// The noisy tenant's answers as shares of one bar.
pub(super) fn bar(noisy: &Noisy) -> String {
    let mut svg = String::from(
        "<svg class=\"bar\" viewBox=\"0 0 1000 28\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"Answers to the noisy tenant\">\n",
    );
    let mut x = 0.0;
    for (key, count) in &noisy.status {
        let width = 1_000.0 * *count as f64 / noisy.requests.max(1) as f64;
        push(
            &mut svg,
            format_args!(
                "<rect class=\"{}\" x=\"{x:.2}\" y=\"0\" width=\"{width:.2}\" height=\"28\">\
                 <title>{} \u{d7} {count}</title></rect>\n",
                kind(key),
                escaped(key)
            ),
        );
        x += width;
    }
    svg.push_str("</svg>\n");
    svg
}

/// What kind of answer a status is, as a class of the style sheet.
pub(super) fn kind(status: &str) -> &'static str {
    match status.as_bytes() {
        [b'2', _, _] => "served",
        b"429" => "limited",
        b"503" => "shed",
        _ => "lost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_of_the_axis_is_round_and_high_enough() {
        for (highest, top) in [
            (1_000.0, 1_000.0),
            (36.2, 50.0),
            (201.0, 250.0),
            (501.0, 1_000.0),
        ] {
            assert!(
                (round_up(highest) - top).abs() < 1e-6,
                "{highest} {}",
                round_up(highest)
            );
        }
    }

    #[test]
    fn an_answer_is_served_limited_shed_or_lost() {
        assert_eq!(
            ["200", "429", "503", "timeout", "500"].map(kind),
            ["served", "limited", "shed", "lost", "lost"]
        );
    }
}
