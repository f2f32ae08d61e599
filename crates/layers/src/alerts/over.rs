//! What is said of an alert that is over: what it was about, what is measured now, and how bad it was.

use watertight_guard::alert::{Alert, Kind, State};
use watertight_plan::Plan;

use super::samples::seated;

/// The alert, saying what is so now: of one that fires, why; of one that is over, or is to be if it
/// stays so, that it is. The plan is the one in force at the last look, if there was one.
pub(super) fn told(mut alert: Alert, plan: Option<&Plan>) -> Alert {
    let is_well = alert.value < alert.clears;
    match alert.state {
        State::Resolved if alert.is_gone => alert.says = gone(&alert),
        State::Resolved => alert.says = says(&alert, plan),
        State::Firing if is_well => {
            alert.says = format!("{}; over when that has lasted a while", says(&alert, plan));
        }
        State::Firing | State::Pending => {}
    }
    alert
}

/// What went with a reload, from the whole to the part.
fn gone(alert: &Alert) -> String {
    let labels = ["pool", "compartment", "service", "upstream"].into_iter();
    let about: Vec<String> = labels
        .filter_map(|name| Some(format!("{name} {}", alert.key.labels.get(name)?)))
        .collect();
    format!(
        "a reload took away what this was about: {}",
        about.join(", ")
    )
}

fn says(alert: &Alert, plan: Option<&Plan>) -> String {
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
            "{} of {service} wait less than {:.0} ms again for seats of {part} in {pool}: {:.0} ms \
             now, {:.0} ms at the most",
            plan.map_or("requests", |plan| seated(plan, pool)),
            clears * 1_000.0,
            value * 1_000.0,
            peak * 1_000.0,
        ),
        Kind::BreakerOpen => match label("upstream") {
            upstream if !pool.is_empty() => format!("{upstream} of pool {pool} is called again"),
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
        Kind::NodeDead => format!(
            "no node is dead any more, by {}; {peak} {} at the most",
            label("watch"),
            match peak {
                1.0 => "was",
                _ => "were",
            },
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
            is_gone: false,
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
        assert_eq!(told(firing, None).says, "12 of 15 seats are held");
        let well = told(alert(Kind::CapFilling, State::Firing, &labels), None);
        assert_eq!(
            well.says,
            "cap of reporting in rest of database is back under 9 seats: 1 seat held now, 12 at the \
             most; over when that has lasted a while"
        );
        let over = told(alert(Kind::CapFilling, State::Resolved, &labels), None);
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
            ("watch", "WATCH"),
        ];
        for kind in Kind::ALL {
            let over = told(alert(kind, State::Resolved, &labels), None);
            assert_ne!(over.says, "12 of 15 seats are held");
            let about = match kind {
                Kind::PoolFilling => "POOL",
                Kind::CompartmentFilling | Kind::SeatsBorrowed => "PART",
                Kind::CapFilling | Kind::QueueWait => "SERVICE",
                Kind::BreakerOpen => "POOL",
                Kind::LimitNear => "LIMIT",
                Kind::NodeDead => "WATCH",
            };
            assert!(over.says.contains(about), "{kind}: {}", over.says);
        }
    }

    #[test]
    fn what_went_with_a_reload_says_so_and_nothing_of_seats() {
        let labels = [("pool", "database"), ("compartment", "rest")];
        let over = told(
            Alert {
                is_gone: true,
                ..alert(Kind::CompartmentFilling, State::Resolved, &labels)
            },
            None,
        );
        assert_eq!(
            over.says,
            "a reload took away what this was about: pool database, compartment rest"
        );
    }

    #[test]
    fn an_upstream_of_a_pool_is_called_again_and_so_is_one_of_a_service() {
        for (of, said) in [
            ("pool", "10.0.0.1:80 of pool a is called again"),
            ("service", "10.0.0.1:80 of a is called again"),
        ] {
            let labels = [(of, "a"), ("upstream", "10.0.0.1:80")];
            let over = told(alert(Kind::BreakerOpen, State::Resolved, &labels), None);
            assert_eq!(over.says, said);
        }
    }
}
