//! The same pictures as vector graphics, for slides and pages that can show them.
//!
//! One panel for each series, at one scale, as in the text. Samples are drawn as steps, all of them:
//! nothing is merged. Coordinates are rounded to tenths, so that a picture is the same everywhere.

use std::fmt::Write as _;

use super::{Chart, as_f64, number, round_up};

impl Chart {
    /// The picture as one SVG document, 720 wide, 120 high for each series and 60 more.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let top = round_up(self.highest());
        let height = TOP + as_f64(self.series.len()) * PANEL + BOTTOM;
        let mut svg = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">"#
        );
        let _ = writeln!(svg, r##"<rect width="100%" height="100%" fill="#fff"/>"##);
        let title = escaped(&self.title);
        let _ = writeln!(svg, r#"<text x="10" y="20" font-size="14">{title}</text>"#);
        for (place, (name, samples)) in self.series.iter().enumerate() {
            let base = TOP + as_f64(place + 1) * PANEL - 16.0;
            self.panel(&mut svg, (name, samples), base, top);
        }
        let end = format!("{} {}", number(self.length), self.x_unit);
        let (x, y) = (WIDTH - RIGHT, height - 10.0);
        let _ = writeln!(
            svg,
            r#"<text x="{x}" y="{y}" text-anchor="end">{}</text>"#,
            escaped(end.trim_end())
        );
        svg.push_str("</svg>\n");
        svg
    }

    fn panel(&self, svg: &mut String, (name, samples): (&str, &[f64]), base: f64, top: f64) {
        let label = format!("{} {}", number(top), self.y_unit);
        let high = base - (PANEL - 40.0);
        let _ = writeln!(
            svg,
            r#"<text x="{LEFT}" y="{}">{}</text>"#,
            high - 6.0,
            escaped(name)
        );
        let _ = writeln!(
            svg,
            r#"<text x="{}" y="{}" text-anchor="end">{}</text>"#,
            LEFT - 6.0,
            high + 10.0,
            escaped(label.trim_end())
        );
        let mut path = String::new();
        let step = (WIDTH - LEFT - RIGHT) / as_f64(samples.len().max(1));
        let mut is_drawn = false;
        for (place, value) in samples.iter().enumerate() {
            let x = LEFT + as_f64(place) * step;
            is_drawn = match value.is_finite() {
                true => {
                    let y = base - (value.clamp(0.0, top) / top) * (PANEL - 40.0);
                    let pen = if is_drawn { 'L' } else { 'M' };
                    let _ = write!(path, "{pen}{x:.1} {y:.1}H{:.1}", x + step);
                    true
                }
                false => false,
            };
        }
        let right = WIDTH - RIGHT;
        let _ = writeln!(
            svg,
            r##"<path d="M{LEFT} {base}H{right}" stroke="#999"/><path d="{path}" fill="none" stroke="#1668a8" stroke-width="1.5"/>"##
        );
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

const WIDTH: f64 = 720.0;
const PANEL: f64 = 120.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 30.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 20.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_panel_for_each_series_and_breaks_where_there_is_no_number() {
        let svg = Chart::new("a < b & c", 2.0, "s", "/s")
            .series("one", &[1.0, f64::NAN, 2.0])
            .series("two", &[0.0, 1e300])
            .to_svg();
        assert!(svg.contains("a &lt; b &amp; c"), "{svg}");
        assert_eq!(svg.matches("stroke-width").count(), 2);
        let path = svg.split("d=\"").nth(2).unwrap();
        assert_eq!(
            path.split('"').next().unwrap().matches('M').count(),
            2,
            "{svg}"
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
