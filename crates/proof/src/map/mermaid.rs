//! The map as a Mermaid diagram, for pages that render them.

use std::fmt::Write as _;

use super::{Kind, MARK, Map, Pool, text::head, text::notes};

/// The map as a Mermaid flow chart: services on the left, walls on the right, grouped by pool.
///
/// Names are safe as they are, since identifiers have no character that means something to Mermaid; nodes
/// are numbered, since words like `end` would.
#[must_use]
pub fn mermaid(map: &Map) -> String {
    let mut text = format!("%% {MARK} {}\nflowchart LR\n", map.digest);
    for (at, service) in map.services.iter().enumerate() {
        let _ = writeln!(
            text,
            "  s{at}([\"{}<br/>tier {}\"]):::tier{}",
            service.service, service.tier, service.tier
        );
    }
    for (at, pool) in map.pools.iter().enumerate() {
        add_pool(&mut text, map, at, pool);
    }
    for (at, upstream) in map.upstreams.iter().enumerate() {
        let _ = writeln!(
            text,
            "  u{at}[(\"{}<br/>shared upstream\")]:::open",
            upstream.address
        );
        for user in &upstream.users {
            if let Some(service) = number(map, &user.service) {
                let _ = writeln!(text, "  s{service} -.-> u{at}");
            }
        }
    }
    text.push_str(
        "  classDef tier1 fill:#dbeafe,stroke:#1d4ed8,color:#111\n\
         \x20 classDef tier2 fill:#dcfce7,stroke:#15803d,color:#111\n\
         \x20 classDef tier3 fill:#fef9c3,stroke:#a16207,color:#111\n\
         \x20 classDef open fill:#fff,stroke:#b91c1c,stroke-dasharray:4,color:#111\n",
    );
    text
}

fn add_pool(text: &mut String, map: &Map, at: usize, pool: &Pool) {
    if pool.kind == Kind::Declared {
        let _ = writeln!(text, "  p{at}[(\"{}<br/>no wall\")]:::open", pool.pool);
        for user in &pool.users {
            if let Some(service) = number(map, &user.service) {
                let _ = writeln!(text, "  s{service} -.-> p{at}");
            }
        }
        return;
    }
    let _ = writeln!(text, "  subgraph p{at}[\"{}\"]", head(pool));
    for (index, part) in pool.compartments.iter().enumerate() {
        let _ = write!(
            text,
            "    p{at}c{index}[\"{}<br/>{} seats",
            part.compartment, part.seats
        );
        for note in notes(part) {
            let _ = write!(text, "<br/>{note}");
        }
        let _ = writeln!(text, "\"]:::tier{}", part.tier);
    }
    if pool.reserve > 0 {
        let _ = writeln!(text, "    p{at}r[\"reserve<br/>{} seats\"]", pool.reserve);
    }
    text.push_str("  end\n");
    for (index, part) in pool.compartments.iter().enumerate() {
        for user in &part.services {
            let Some(service) = number(map, &user.service) else {
                continue;
            };
            let _ = match user.cap {
                Some(cap) => writeln!(text, "  s{service} -->|at most {cap}| p{at}c{index}"),
                None => writeln!(text, "  s{service} --> p{at}c{index}"),
            };
        }
    }
}

fn number(map: &Map, service: &str) -> Option<usize> {
    map.services.iter().position(|it| it.service == service)
}
