//! From how many seats on a wall counts as filling up, and below how many it is well again.
//!
//! Seats are whole, so a share of them is rounded up: 70 % of 15 seats is 11. An alert that comes
//! when the last seat is taken comes too late, so it fires one seat earlier where rounding would say
//! that. Walls of one or two seats have no useful "before", and those whose owner asked for 100 % want
//! none: there the alert comes when they are full.

use watertight_base::Percent;

/// The marks of a wall of so many seats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wall {
    /// It fires when so many seats are held.
    pub fires: u32,
    /// It is well when fewer than this are held; at most `fires`.
    pub clears: f64,
}

impl Wall {
    /// How far below the share at which it fires it is well again, in percent points of the wall.
    pub const BELOW: f64 = 10.0;

    /// The marks of a wall of `seats`, of which `alert` is the share from which on somebody should look.
    /// None: it has no seats.
    pub fn new(seats: u32, alert: Percent) -> Option<Self> {
        if seats == 0 {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a number is no more"
        )]
        let share = (f64::from(seats) * alert.ratio()).ceil() as u32;
        let has_before = seats > 2 && alert < Percent::WHOLE;
        let fires = if has_before {
            share.clamp(1, seats - 1)
        } else {
            share.clamp(1, seats)
        };
        let below = f64::from(seats) * (alert.get() - Self::BELOW) / 100.0;
        Some(Self {
            fires,
            // With none held every wall is well.
            clears: below.min(f64::from(fires)).max(0.5),
        })
    }
}
