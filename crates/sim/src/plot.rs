//! Small pictures in text: what an experiment showed, in its documentation.
//!
//! Each series is a row of columns over the same axis of time and at the same scale, so that they
//! can be compared by eye. Only additions, multiplications and divisions are made, which are the
//! same on every platform: so is the picture.

mod svg;

use std::fmt::{self, Write as _};

/// A chart of series over time. Its `Display` is the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    title: String,
    x_unit: String,
    y_unit: String,
    length: f64,
    series: Vec<(String, Vec<f64>)>,
    width: usize,
    height: usize,
    ascii: bool,
}

impl Chart {
    /// A chart over `length` of the x axis, from 0, 60 columns by 4 lines a series.
    #[must_use]
    pub fn new(title: &str, length: f64, x_unit: &str, y_unit: &str) -> Self {
        Self {
            title: title.to_owned(),
            x_unit: x_unit.to_owned(),
            y_unit: y_unit.to_owned(),
            length,
            series: Vec::new(),
            width: 60,
            height: 4,
            ascii: false,
        }
    }

    /// Adds a series of samples that lie evenly over the axis. A column shows the highest of its
    /// samples: a peak does not vanish. Below 0 is drawn as 0; what is no number, as a gap.
    #[must_use]
    pub fn series(mut self, name: &str, samples: &[f64]) -> Self {
        self.series.push((name.to_owned(), samples.to_vec()));
        self
    }

    /// Columns, 10 to 200, and lines for each series, 1 to 40.
    #[must_use]
    pub fn size(mut self, width: usize, height: usize) -> Self {
        self.width = width.clamp(10, 200);
        self.height = height.clamp(1, 40);
        self
    }

    /// Draws with ASCII characters only, in half steps instead of eighths.
    #[must_use]
    pub fn ascii(mut self) -> Self {
        self.ascii = true;
        self
    }

    fn write_series(&self, text: &mut String, row: &Row<'_>) -> fmt::Result {
        let (bar, corner, rule, blocks) = match self.ascii {
            true => ("|", "+", "-", ASCII),
            false => ("│", "└", "─", BLOCKS),
        };
        let steps = blocks.len() - 1;
        let columns = self.columns(row.samples);
        let levels = columns.map(|value| level(value, row.top, self.height * steps));
        let levels: Vec<usize> = levels.collect();
        writeln!(text, "{}", row.name)?;
        for line in (0..self.height).rev() {
            let label = match line {
                _ if line + 1 == self.height => row.label.as_str(),
                0 => "0",
                _ => "",
            };
            write!(text, "{label:>0$} {bar}", row.label_width)?;
            let block = |level: &usize| blocks[level.saturating_sub(line * steps).min(steps)];
            text.extend(levels.iter().map(block));
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        let rule = rule.repeat(self.width);
        writeln!(text, "{:1$} {corner}{rule}", "", row.label_width)
    }

    fn columns(&self, samples: &[f64]) -> impl Iterator<Item = f64> {
        (0..self.width).map(move |column| {
            let from = column * samples.len() / self.width;
            let to = ((column + 1) * samples.len() / self.width).max(from + 1);
            let part = samples.get(from..to).unwrap_or_default();
            part.iter().copied().fold(f64::NAN, f64::max)
        })
    }

    fn highest(&self) -> f64 {
        let samples = self.series.iter().flat_map(|(_, samples)| samples);
        let finite = samples.copied().filter(|value| value.is_finite());
        finite.fold(0.0, f64::max)
    }
}

impl fmt::Display for Chart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let top = round_up(self.highest());
        let label = format!("{} {}", number(top), self.y_unit);
        let label = label.trim_end().to_owned();
        let label_width = label.chars().count();
        let mut text = String::new();
        writeln!(text, "{}", self.title)?;
        for (name, samples) in &self.series {
            let row = Row {
                name,
                samples,
                top,
                label: label.clone(),
                label_width,
            };
            self.write_series(&mut text, &row)?;
        }
        let end = format!("{} {}", number(self.length), self.x_unit);
        let end = end.trim_end();
        let space = self.width.saturating_sub(1 + end.chars().count());
        writeln!(text, "{:label_width$}  0{:space$}{end}", "", "")?;
        f.write_str(&text)
    }
}

struct Row<'a> {
    name: &'a str,
    samples: &'a [f64],
    top: f64,
    label: String,
    label_width: usize,
}

/// How many steps high, of so many. What is above 0 is at least one step: a trickle shows.
fn level(value: f64, top: f64, steps: usize) -> usize {
    if value.is_nan() || value <= 0.0 {
        return 0;
    }
    let reached = |step: &usize| value * as_f64(steps) >= top * (as_f64(*step) - 0.5);
    (1..=steps).take_while(reached).count().max(1)
}

fn as_f64(small: usize) -> f64 {
    f64::from(u32::try_from(small).unwrap_or(u32::MAX))
}

/// The next of 1, 2, 5, 10, 20, 50 and so on that is not below the value, from a billionth on;
/// 1 if there is nothing to show.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    // Read from its digits, a step is the nearest number there is; multiplied up, it would gather
    // noise that the label shows.
    (-9..=308)
        .flat_map(|decade| ["1", "2", "5"].map(|digit| format!("{digit}e{decade}")))
        .filter_map(|text| text.parse().ok())
        .find(|step| *step >= value)
        .unwrap_or(f64::MAX)
}

/// As one would write it: with an exponent when the digits were too many.
fn number(value: f64) -> String {
    match (1e-4..1e9).contains(&value) || value == 0.0 {
        true => value.to_string(),
        false => format!("{value:e}"),
    }
}

const ASCII: &[char] = &[' ', '.', '#'];
const BLOCKS: &[char] = &[' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let ramp: Vec<f64> = (0..20_u32).map(f64::from).collect();
        Chart::new("Admitted", 20.0, "s", "req/s")
            .series("ramp", &ramp)
            .series("peak", &[0.0, 0.0, 0.0, 16.0, 0.5, f64::NAN, -3.0, 0.0])
            .size(20, 2)
    }

    #[test]
    fn the_picture_is_the_same_everywhere() {
        let want = "\
Admitted
ramp
20 req/s │           ▁▂▂▃▄▅▆▆▇
       0 │ ▁▂▂▃▄▅▆▆▇██████████
         └────────────────────
peak
20 req/s │        ▅▅
       0 │        ██▁▁▁
         └────────────────────
          0               20 s
";
        let drawn = chart().to_string();
        assert_eq!(drawn, want, "\n{drawn}");
    }

    #[test]
    fn the_plain_picture_is_ascii() {
        let drawn = chart().ascii().to_string();
        assert!(drawn.is_ascii(), "\n{drawn}");
        assert!(drawn.contains('#'), "\n{drawn}");
    }

    #[test]
    fn a_peak_of_one_sample_in_many_shows() {
        let mut samples = vec![0.0; 10_000];
        samples[5_000] = 9.0;
        let drawn = Chart::new("t", 1.0, "s", "")
            .series("a", &samples)
            .to_string();
        assert!(drawn.contains('█'), "\n{drawn}");
    }

    #[test]
    fn what_cannot_be_drawn_is_survived() {
        for samples in [
            &[][..],
            &[f64::NAN],
            &[f64::INFINITY, 1.0],
            &[-1.0],
            &[1e300],
            &[1e-300],
        ] {
            let drawn = Chart::new("t", 0.0, "s", "")
                .series("a", samples)
                .to_string();
            assert!(drawn.lines().count() == 8, "{samples:?}\n{drawn}");
        }
    }

    #[test]
    fn scales_end_at_round_numbers() {
        for (value, top) in [
            (19.0, 20.0),
            (20.0, 20.0),
            (21.0, 50.0),
            (0.3, 0.5),
            (1_000.0, 1_000.0),
        ] {
            assert!(
                (round_up(value) - top).abs() < 1e-12,
                "{value}: {}",
                round_up(value)
            );
        }
    }
}
