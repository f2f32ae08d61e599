//! Metrics that are read from the views at the moment of a scrape, so that they cannot disagree with
//! what status shows.

mod breakers;
mod holdings;
mod tcp;

use std::{fmt, sync::Weak, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use watertight_guard::{
    alert::{Kind, Wall},
    breaker::State,
    health::View,
    pool::{CompartmentView, PoolView},
    throttle::lease,
};

use watertight_layers::KeyedView;
use watertight_plan::{Alerting, Plan};

use crate::{
    last_good::LastGoodView,
    shared::{ServiceView, Shared},
};

/// Reads views when it is asked.
#[derive(Debug)]
pub(crate) struct Collected(pub(crate) Weak<Shared>);

type Labels = Vec<(&'static str, String)>;

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(shared) = self.0.upgrade() else {
            return Ok(());
        };
        let pools = shared.admission.pools();
        encode_compartments(&mut encoder, &pools)?;
        let plan = shared.admission.plan();
        encode_walls(&mut encoder, &pools, &plan)?;
        encode_spans(&mut encoder, &pools, plan.alerting())?;
        encode_services(&mut encoder, &pools)?;
        encode_upstreams(&mut encoder, &shared.services())?;
        breakers::encode(&mut encoder, &shared.admission.service_breakers())?;
        tcp::encode(&mut encoder, &shared.tcp.view(shared.clock.now()))?;
        encode_health(&mut encoder, &shared.admission.health())?;
        let cluster = shared.admission.cluster().unwrap_or_default();
        encode_cluster(&mut encoder, &cluster)?;
        encode_keyed(&mut encoder, &shared.admission.keyed())?;
        encode_last_good(&mut encoder, &shared.last_good.view(shared.clock.now()))?;
        shared.faults.view().encode(&mut encoder)?;
        holdings::encode(&mut encoder, &shared.admission, &shared.recorder.metrics)?;
        let counts = shared.admission.tenant_counts();
        gauges(
            &mut encoder,
            "watertight_tenant_breakers",
            "Pairs of tenant and service that a breaker watches because they failed lately",
            [(Vec::new(), counts.breakers as i64)],
        )?;
        counters(
            &mut encoder,
            "watertight_access_log_dropped_lines",
            "Lines of the access log that were dropped because its reader was too slow",
            [(Vec::new(), shared.recorder.log.dropped() as f64)],
        )
    }
}

fn encode_compartments(encoder: &mut DescriptorEncoder<'_>, pools: &[PoolView]) -> fmt::Result {
    let compartments = || {
        pools
            .iter()
            .flat_map(|pool| pool.compartments.iter().map(move |part| (pool, part)))
    };
    let labels = |pool: &PoolView, part: &CompartmentView| -> Labels {
        vec![
            ("pool", pool.id.to_string()),
            ("compartment", part.id.to_string()),
        ]
    };
    gauges(
        encoder,
        "watertight_compartment_waiting",
        "Requests that wait for a seat of a compartment",
        compartments().map(|(pool, part)| (labels(pool, part), i64::from(part.waiting))),
    )?;
    let loans = compartments().flat_map(|(pool, part)| {
        [("lent", part.lent), ("borrowed", part.borrowed)].map(|(state, seats)| {
            let mut labels = labels(pool, part);
            labels.push(("state", state.to_owned()));
            (labels, i64::from(seats))
        })
    });
    gauges(
        encoder,
        "watertight_compartment_loans_seats",
        "Seats of a compartment that others sit on, and seats of others that it sits on",
        loans,
    )?;
    counters(
        encoder,
        "watertight_seats_recalled",
        "Seats that a compartment had lent and wanted back after borrow_max, so that the requests on them were ended",
        compartments().map(|(pool, part)| (labels(pool, part), part.recalls as f64)),
    )?;
    gauges(
        encoder,
        "watertight_pool_capacity_seats",
        "Seats of a pool in all",
        pools.iter().map(|pool| {
            (
                vec![("pool", pool.id.to_string())],
                i64::from(pool.capacity),
            )
        }),
    )
}

/// How many seats there are, how many are held, and from how many on somebody should look.
fn encode_walls(
    encoder: &mut DescriptorEncoder<'_>,
    pools: &[PoolView],
    plan: &Plan,
) -> fmt::Result {
    let rows = |labels: Labels, pool: &PoolView, seats: u32, in_use: u32| {
        let marks = Wall::new(seats, plan.alert_of(&pool.id));
        let alert = marks.map(|marks| ("alert", marks.fires));
        let states = [("limit", seats), ("in_use", in_use)];
        let states = states.into_iter().chain(alert);
        states.map(move |(state, number)| {
            let mut labels = labels.clone();
            labels.push(("state", state.to_owned()));
            (labels, i64::from(number))
        })
    };
    let of_pool = |pool: &PoolView| vec![("pool", pool.id.to_string())];
    gauges(
        encoder,
        "watertight_pool_seats",
        "Seats of a pool, by state: how many there are, how many are held, and from how many on somebody should look",
        pools
            .iter()
            .flat_map(|pool| rows(of_pool(pool), pool, pool.capacity, pool.in_use)),
    )?;
    let parts = pools
        .iter()
        .flat_map(|pool| pool.compartments.iter().map(move |part| (pool, part)));
    let of_part = |pool: &PoolView, part: &CompartmentView| {
        let mut labels = of_pool(pool);
        labels.push(("compartment", part.id.to_string()));
        labels
    };
    let of_parts = parts
        .clone()
        .flat_map(|(pool, part)| rows(of_part(pool, part), pool, part.seats, part.in_use));
    gauges(
        encoder,
        "watertight_compartment_seats",
        "Seats of a compartment, by state: how many there are, how many are held, and from how many on somebody should look",
        of_parts,
    )?;
    let caps = parts.flat_map(|(pool, part)| {
        let capped = part.slots.iter().filter(|slot| slot.cap < part.seats);
        capped.flat_map(move |slot| {
            let mut labels = of_part(pool, part);
            labels.push(("service", slot.service.to_string()));
            rows(labels, pool, slot.cap, slot.in_use)
        })
    });
    gauges(
        encoder,
        "watertight_cap_seats",
        "Seats of a compartment that a service with a cap may hold, by state: how many, how many it holds, and from how many on somebody should look",
        caps,
    )
}

/// How long requests wait now, and seats have been lent, and how long they may.
fn encode_spans(
    encoder: &mut DescriptorEncoder<'_>,
    pools: &[PoolView],
    alerting: &Alerting,
) -> fmt::Result {
    let parts = || {
        pools.iter().flat_map(|pool| {
            pool.compartments.iter().map(move |part| {
                let labels: Labels = vec![
                    ("pool", pool.id.to_string()),
                    ("compartment", part.id.to_string()),
                ];
                (labels, part)
            })
        })
    };
    let waits = parts().flat_map(|(labels, part)| {
        part.slots.iter().map(move |slot| {
            let mut labels = labels.clone();
            labels.push(("service", slot.service.to_string()));
            (labels, slot.longest_wait.unwrap_or_default())
        })
    });
    spans(
        encoder,
        "watertight_seat_longest_wait_seconds",
        "How long the first of the requests of a service that wait for a seat has waited",
        waits,
    )?;
    spans(
        encoder,
        "watertight_compartment_longest_loan_seconds",
        "How long others have sat on a seat of a compartment, at the longest",
        parts().map(|(labels, part)| (labels, part.longest_loan.unwrap_or_default())),
    )?;
    let targets = [
        (Kind::QueueWait, alerting.queue_wait),
        (Kind::SeatsBorrowed, alerting.borrowed_for),
    ];
    spans(
        encoder,
        "watertight_alert_target_seconds",
        "From how long on an alert fires, by kind",
        targets.map(|(kind, span)| (vec![("alert", kind.label().to_owned())], span)),
    )
}

fn encode_health(encoder: &mut DescriptorEncoder<'_>, views: &[View]) -> fmt::Result {
    let shares = views.iter().flat_map(|view| {
        view.shares.iter().map(move |share| {
            let labels: Labels = vec![
                ("scope", view.scope.to_string()),
                ("tier", share.tier.label().to_owned()),
            ];
            #[expect(clippy::cast_possible_truncation, reason = "0 to 100")]
            let percent = share.share.get().round() as i64;
            (labels, percent)
        })
    });
    gauges(
        encoder,
        "watertight_limits_in_force_percent",
        "How much of the limits of a tier is in force because of the health of a scope",
        shares,
    )
}

fn encode_cluster(encoder: &mut DescriptorEncoder<'_>, view: &lease::View) -> fmt::Result {
    gauges(
        encoder,
        "watertight_limit_store_away",
        "Whether the store in which nodes count limits together is away: 1 if it is",
        [(Vec::new(), i64::from(view.is_away))],
    )?;
    gauges(
        encoder,
        "watertight_limit_store_nodes",
        "Nodes that count limits together, as the store said last",
        [(Vec::new(), i64::from(view.nodes))],
    )?;
    counters(
        encoder,
        "watertight_limit_store_trips",
        "Round trips to the store in which nodes count limits together",
        [(Vec::new(), view.trips as f64)],
    )?;
    counters(
        encoder,
        "watertight_limit_store_failures",
        "Round trips to the store that failed or took too long",
        [(Vec::new(), view.failures as f64)],
    )?;
    let decisions = [
        ("together", view.decisions.saturating_sub(view.alone)),
        ("alone", view.alone),
    ];
    counters(
        encoder,
        "watertight_limit_store_decisions",
        "Decisions of limits that nodes count together, by whether the store had its say",
        decisions.map(|(how, number)| (vec![("how", how.to_owned())], number as f64)),
    )
}

fn encode_keyed(encoder: &mut DescriptorEncoder<'_>, view: &KeyedView) -> fmt::Result {
    let own = [("named", view.named), ("anybody", view.invented)];
    let own = own.map(|(table, occupancy)| (table.to_owned(), occupancy));
    let together = view.together.into_iter().flat_map(|tables| {
        let labels = lease::View::TABLES.map(|table| format!("cluster-{table}"));
        labels.into_iter().zip(tables)
    });
    let tables: Vec<_> = own.into_iter().chain(together).collect();
    let label = |table: &str| -> Labels { vec![("table", table.to_owned())] };
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let places = tables.iter().flat_map(|(table, occupancy)| {
        [("live", occupancy.live), ("all", occupancy.places)].map(|(state, number)| {
            let mut labels = label(table);
            labels.push(("state", state.to_owned()));
            (labels, whole(number))
        })
    });
    gauges(
        encoder,
        "watertight_throttle_places",
        "Places for callers in the tables of limits, by table and state: all, and those in use; the tables of limits that all nodes count begin with cluster-",
        places,
    )?;
    gauges(
        encoder,
        "watertight_throttle_memory_bytes",
        "Bytes that the tables of limits take",
        tables
            .iter()
            .map(|(table, occupancy)| (label(table), whole(occupancy.bytes))),
    )?;
    counters(
        encoder,
        "watertight_throttle_overflows",
        "Decisions for callers who found no place in a table and shared a counter",
        tables
            .iter()
            .map(|(table, occupancy)| (label(table), occupancy.overflowed as f64)),
    )?;
    gauges(
        encoder,
        "watertight_throttle_waiting",
        "Requests that wait for their turn at a limit",
        [(Vec::new(), whole(view.waiting))],
    )
}

fn encode_services(encoder: &mut DescriptorEncoder<'_>, pools: &[PoolView]) -> fmt::Result {
    let slots = || {
        pools.iter().flat_map(|pool| {
            pool.compartments.iter().flat_map(move |part| {
                part.slots.iter().map(move |slot| {
                    let labels: Labels = vec![
                        ("pool", pool.id.to_string()),
                        ("compartment", part.id.to_string()),
                        ("service", slot.service.to_string()),
                    ];
                    (labels, slot)
                })
            })
        })
    };
    counters(
        encoder,
        "watertight_seat_seconds",
        "Seats held by a service × time",
        slots().map(|(labels, slot)| (labels, slot.seat_time.as_secs_f64())),
    )?;
    counters(
        encoder,
        "watertight_seats_granted",
        "Requests of a service that were seated",
        slots().map(|(labels, slot)| (labels, slot.granted as f64)),
    )?;
    counters(
        encoder,
        "watertight_seat_wait_seconds",
        "Time that requests of a service waited for the seats they got",
        slots().map(|(labels, slot)| (labels, slot.wait_time.as_secs_f64())),
    )
}

fn encode_upstreams(encoder: &mut DescriptorEncoder<'_>, services: &[ServiceView]) -> fmt::Result {
    let upstreams = || {
        services.iter().flat_map(|view| {
            view.upstreams.iter().map(move |upstream| {
                let labels: Labels = vec![
                    ("service", view.service.id.to_string()),
                    ("upstream", upstream.address.clone()),
                ];
                (labels, upstream)
            })
        })
    };
    gauges(
        encoder,
        "watertight_upstream_breaker_state",
        "What the breaker of an upstream is doing: 0 closed, 1 half-open (also when its open time is over and nobody called since), 2 open",
        upstreams().map(|(labels, upstream)| (labels, state_number(upstream.breaker.state))),
    )?;
    gauges(
        encoder,
        "watertight_upstream_gone",
        "Whether the node behind an upstream is dead or has left, so that others are called",
        upstreams().map(|(labels, upstream)| (labels, i64::from(upstream.vital.is_gone))),
    )?;
    let connections = upstreams().flat_map(|(labels, upstream)| {
        let idle = i64::try_from(upstream.idle).unwrap_or(i64::MAX);
        [("in_use", i64::from(upstream.in_use)), ("idle", idle)].map(|(state, number)| {
            let mut labels = labels.clone();
            labels.push(("state", state.to_owned()));
            (labels, number)
        })
    });
    gauges(
        encoder,
        "watertight_upstream_connections",
        "Connections (streams, for HTTP/2) to an upstream, by state",
        connections,
    )?;
    counters(
        encoder,
        "watertight_upstream_connects",
        "Connections opened to an upstream",
        upstreams().map(|(labels, upstream)| (labels, upstream.connects as f64)),
    )?;
    counters(
        encoder,
        "watertight_upstream_failures",
        "Connections to an upstream that were not made, or broke before an answer",
        upstreams().map(|(labels, upstream)| (labels, upstream.failures as f64)),
    )
}

/// A breaker's state as a gauge tells it.
fn state_number(state: State) -> i64 {
    match state {
        State::Closed => 0,
        State::HalfOpen => 1,
        State::Open => 2,
    }
}

fn encode_last_good(encoder: &mut DescriptorEncoder<'_>, view: &LastGoodView) -> fmt::Result {
    let size = |number| [(Vec::new(), i64::try_from(number).unwrap_or(i64::MAX))];
    gauges(
        encoder,
        "watertight_last_good_answers",
        "Last good answers that are kept",
        size(view.entries),
    )?;
    gauges(
        encoder,
        "watertight_last_good_bytes",
        "Bytes that last good answers take",
        size(view.bytes),
    )?;
    let by = |name, rows: [(&str, u64); 2]| {
        rows.map(|(value, number)| (vec![(name, value.to_owned())], number as f64))
    };
    counters(
        encoder,
        "watertight_last_good_lookups",
        "Requests for which a last good answer was looked for, by result: hit, or miss",
        by("result", [("hit", view.hits), ("miss", view.misses)]),
    )?;
    counters(
        encoder,
        "watertight_last_good_stores",
        "Answers that could be kept, by result: kept, or full when there was no room",
        by("result", [("kept", view.kept), ("full", view.not_kept)]),
    )
}

pub(crate) fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: impl IntoIterator<Item = (Labels, i64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in rows {
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn spans(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: impl IntoIterator<Item = (Labels, Duration)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, span) in rows {
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        ConstGauge::new(span.as_secs_f64()).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

pub(crate) fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: impl IntoIterator<Item = (Labels, f64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in rows {
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;
    use watertight_guard::throttle::Occupancy;

    use super::*;

    #[derive(Debug)]
    struct Tables(KeyedView);

    impl Collector for Tables {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
            encode_keyed(&mut encoder, &self.0)
        }
    }

    #[test]
    fn the_tables_of_limits_that_all_nodes_count_are_among_the_tables() -> fmt::Result {
        let table = |live| Occupancy {
            live,
            places: 64,
            overflowed: 7,
            bytes: 4_096,
        };
        let view = KeyedView {
            named: table(1),
            invented: table(2),
            together: Some([3, 4, 5, 6, 7].map(table)),
            waiting: 0,
        };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Tables(view)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        for line in [
            "watertight_throttle_places{table=\"cluster-named\",state=\"live\"} 3",
            "watertight_throttle_places{table=\"cluster-proven\",state=\"live\"} 4",
            "watertight_throttle_places{table=\"cluster-anybody\",state=\"all\"} 64",
            "watertight_throttle_places{table=\"cluster-local-proven\",state=\"live\"} 6",
            "watertight_throttle_places{table=\"cluster-local-anybody\",state=\"live\"} 7",
            "watertight_throttle_memory_bytes{table=\"cluster-anybody\"} 4096",
            "watertight_throttle_overflows_total{table=\"cluster-anybody\"} 7",
        ] {
            assert!(text.contains(line), "{line} of {text}");
        }
        Ok(())
    }
}
