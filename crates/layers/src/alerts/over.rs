//! What is said of an alert that is over: what it was about, what is measured now, and how bad it was.

use watertight_guard::alert::{Alert, Kind, State};

/// The alert, saying what is so now: of one that fires, why; of one that is over, or is to be if it
/// stays so, that it is.
pub(super) fn told(mut alert: Alert) -> Alert {
    let is_well = alert.value < alert.clears;
    match alert.state {
        State::Resolved => alert.says = says(&alert),
        State::Firing if is_well => {
            alert.says = format!("{}; over when that has lasted a while", says(&alert));
        }
        State::Firing | State::Pending => {}
    }
    alert
}

fn says(alert: &Alert) -> String {
    let label = |name: &str| alert.key.labels.get(name).map_or("", String::as_str);
    let (pool, part, service) = (label("pool"), label("compartment"), label("service"));
    let (value, peak, clears) = (alert.value, alert.peak, alert.clears);
    let seats = |what: String| {
        // Below it, in whole seats.
        let (back, held, noun) = (clears.ceil(), value, plural(value, "seat"));
        format!("{what} is back under {back} seats: {held} {noun} held now, {peak} at the most")
    };
    match alert.key.kind {
        Kind::PoolFilling => seats(format!("pool {pool}")),
        Kind::CompartmentFilling => seats(format!("compartment {part} of {pool}")),
        Kind::CapFilling => seats(format!("cap of {service} in {part} of {pool}")),
        Kind::QueueWait => format!(
            "requests of {service} wait less than {:.0} ms again for seats of {part} in {pool}: {:.0} \
             ms now, {:.0} ms at the most",
            clears * 1_000.0,
            value * 1_000.0,
            peak * 1_000.0,
        ),
        Kind::BreakerOpen => match label("upstream") {
            "" => format!(
                "calls of {service} are not refused any more; {peak} {} refused them at the most",
                plural(peak, "breaker")
            ),
            upstream => format!("{upstream} of {service} is called again"),
        },
        Kind::LimitNear => format!(
            "no request is near limit {} of a {} any more; {peak} were at the most between two looks",
            label("limit"),
            label("place"),
        ),
        Kind::SeatsBorrowed => format!(
            "no seat of compartment {part} of {pool} is lent for long any more: {value:.0} s now, \
             {peak:.0} s at the most"
        ),
    }
}

fn plural(number: f64, noun: &str) -> String {
    let ending = if number == 1.0 { "" } else { "s" };
    format!("{noun}{ending}")
}

#[cfg(test)]
mod tests {
    use watertight_base::Tick;
    use watertight_guard::alert::Key;

    use super::*;

    fn alert(kind: Kind, state: State, labels: &[(&'static str, &str)]) -> Alert {
        Alert {
            key: labels
                .iter()
                .fold(Key::new(kind), |key, (name, value)| key.with(name, value)),
            state,
            since: Tick::ZERO,
            began: Tick::ZERO,
            value: 1.0,
            peak: 12.0,
            fires: 11.0,
            clears: 8.2,
            says: "12 of 15 seats are held".to_owned(),
        }
    }

    #[test]
    fn what_fires_says_why_and_what_is_over_says_how_it_is_now() {
        let labels = [
            ("pool", "database"),
            ("compartment", "rest"),
            ("service", "reporting"),
        ];
        let firing = Alert {
            value: 12.0,
            ..alert(Kind::CapFilling, State::Firing, &labels)
        };
        assert_eq!(told(firing).says, "12 of 15 seats are held");
        let well = told(alert(Kind::CapFilling, State::Firing, &labels));
        assert_eq!(
            well.says,
            "cap of reporting in rest of database is back under 9 seats: 1 seat held now, 12 at the \
             most; over when that has lasted a while"
        );
        let over = told(alert(Kind::CapFilling, State::Resolved, &labels));
        assert_eq!(
            over.says,
            "cap of reporting in rest of database is back under 9 seats: 1 seat held now, 12 at the \
             most"
        );
    }

    #[test]
    fn every_kind_says_what_it_was_about_and_repeats_nothing() {
        let labels = [
            ("pool", "POOL"),
            ("compartment", "PART"),
            ("service", "SERVICE"),
            ("limit", "LIMIT"),
            ("place", "PLACE"),
            ("upstream", "UPSTREAM"),
        ];
        for kind in Kind::ALL {
            let over = told(alert(kind, State::Resolved, &labels));
            assert_ne!(over.says, "12 of 15 seats are held");
            let about = match kind {
                Kind::PoolFilling => "POOL",
                Kind::CompartmentFilling | Kind::SeatsBorrowed => "PART",
                Kind::CapFilling | Kind::QueueWait => "SERVICE",
                Kind::BreakerOpen => "UPSTREAM",
                Kind::LimitNear => "LIMIT",
            };
            assert!(over.says.contains(about), "{kind}: {}", over.says);
        }
    }
}
