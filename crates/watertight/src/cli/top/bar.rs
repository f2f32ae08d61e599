//! Seats as a bar, to scale: walls where a compartment or a cap ends, what is held within them, and
//! what waits outside.

use super::line::{Line, Tone};

/// What a bar shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seats {
    pub(super) limit: u32,
    pub(super) in_use: u32,
    pub(super) waiting: u32,
    /// The share of the limit from which on somebody should look.
    pub(super) alert_percent: f64,
    /// Whether the limit is a cap within a compartment.
    pub(super) is_cap: bool,
}

/// So many seats are drawn as so many cells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) seats: u32,
    pub(super) cells: usize,
}

impl Scale {
    /// The cells of so many seats: none for none, else at least one.
    fn cells_of(self, seats: u32) -> usize {
        let cells = f64::from(seats) * self.cells as f64 / f64::from(self.seats.max(1));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the width of a terminal"
        )]
        let cells = cells.round().min(self.cells as f64) as usize;
        cells.max(usize::from(seats > 0))
    }
}

impl Seats {
    /// How full it is, as a tone.
    pub(super) fn tone(&self) -> Tone {
        let percent = f64::from(self.in_use) * 100.0 / f64::from(self.limit.max(1));
        if self.in_use >= self.limit && self.in_use > 0 {
            Tone::Bad
        } else if percent >= self.alert_percent {
            Tone::Warning
        } else {
            Tone::Good
        }
    }

    /// `line` with the bar; it is two cells longer than the scale.
    pub(super) fn draw(&self, line: Line, scale: Scale) -> Line {
        let walls = scale.cells_of(self.limit);
        let held = scale.cells_of(self.in_use.min(self.limit));
        let outside = scale.cells - walls;
        let waiting = scale.cells_of(self.waiting).min(outside);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of the bar"
        )]
        let alert = (walls as f64 * self.alert_percent / 100.0).floor() as usize;
        let free = |at: usize| if at == alert { '¦' } else { '·' };
        let end = if self.is_cap { "┤" } else { "▏" };
        let start = if self.is_cap { " " } else { "▕" };
        line.add(Tone::Plain, start)
            .add(self.tone(), "█".repeat(held))
            .add(Tone::Faint, (held..walls).map(free).collect::<String>())
            .add(Tone::Plain, end)
            .add(Tone::Warning, "›".repeat(waiting))
            .add(Tone::Plain, " ".repeat(outside - waiting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(limit: u32, in_use: u32, waiting: u32) -> String {
        let seats = Seats {
            limit,
            in_use,
            waiting,
            alert_percent: 70.0,
            is_cap: false,
        };
        let scale = Scale {
            seats: 20,
            cells: 20,
        };
        seats.draw(Line::default(), scale).plain()
    }

    #[test]
    fn a_bar_is_to_scale() {
        assert_eq!(bar(10, 4, 0), "▕████···¦··▏");
        assert_eq!(bar(10, 10, 3), "▕██████████▏›››");
        assert_eq!(bar(10, 10, 300), "▕██████████▏››››››››››");
        assert_eq!(bar(20, 0, 5), "▕··············¦·····▏");
        assert_eq!(bar(0, 3, 0), "▕▏");
    }

    #[test]
    fn the_tone_tells_the_alert_and_the_end() {
        let tone = |in_use| {
            let seats = Seats {
                limit: 10,
                in_use,
                waiting: 0,
                alert_percent: 70.0,
                is_cap: false,
            };
            seats.tone()
        };
        assert_eq!([tone(0), tone(6)], [Tone::Good; 2]);
        assert_eq!([tone(7), tone(9)], [Tone::Warning; 2]);
        assert_eq!(tone(10), Tone::Bad);
    }
}
