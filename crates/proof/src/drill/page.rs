//! The report of a drill as one page, with tier 1 as its hero.

use super::{DrillReport, Outcome, Phase};
use crate::markup::escaped;
use crate::report::page::{Page, noisy, panels, push, table};
use crate::verdict;

/// The page, complete from its doctype on.
#[must_use]
pub fn html(report: &DrillReport) -> String {
    let before = report.measured.phase(Phase::Before);
    let before = before.and_then(|phase| phase.tiers.get(&1));
    let flat_ms = before.map(|tier| verdict::flat_p99_ms(tier.p99_ms));
    let title = match report.outcome {
        Outcome::Held => "The walls held",
        Outcome::NotHeld => "The walls did not hold",
        Outcome::NotShown => "Nothing was shown",
    };
    let about = &report.about;
    let page = Page {
        is_good: report.held,
        title,
        eyebrow: &format!(
            "drill {} on {}, walls {}, map {}, {}",
            report.scenario, about.node, about.walls, about.map, about.ended
        ),
        sentence: &report.verdict,
        json: &report.json(),
    };
    let sections = [
        panels(&report.measured, flat_ms),
        said(report),
        promises(report),
        noisy(&report.measured, "What whoever storms was answered"),
        table(&report.measured),
        FOOTER.to_owned(),
    ];
    page.with(&sections.concat())
}

const FOOTER: &str = "<footer>\n<p>Open loop: every request has an intended time, fixed by a seed before the first is \
    sent, and its latency runs from then. A request that failed counts with its time-out. Percentiles are exact \
    (nearest rank). Ordinary tenants send the same requests at the same times in all three phases; whoever calls what \
    is struck on purpose is counted apart.</p>\n<p>Every number on this page is in the JSON that it carries, element \
    <code>report</code>, and so is every single request that the numbers are made of.</p>\n</footer>\n";

fn said(report: &DrillReport) -> String {
    let said = &report.statement;
    let mut html = String::from("<section>\n<h2>Said before it began</h2>\n<dl class=\"noisy\">\n");
    let rows = [
        ("Does", &said.does),
        ("Hypothesis", &said.hypothesis),
        ("Blast radius", &said.blast_radius),
        ("Abort when", &said.abort),
    ];
    for (name, says) in rows {
        push(
            &mut html,
            format_args!("<dt>{name}</dt>\n<dd>{}</dd>\n", escaped(says)),
        );
    }
    for fault in &report.pressure.faults {
        let service = escaped(&fault.fault.service);
        push(
            &mut html,
            format_args!(
                "<dt>Fault</dt>\n<dd>of {service}: {} requests struck</dd>\n",
                fault.hits
            ),
        );
    }
    if let Some(hoard) = report.pressure.hoarded {
        push(
            &mut html,
            format_args!(
                "<dt>Connections</dt>\n<dd>{} wanted, {} served, {} refused, {} closed</dd>\n",
                hoard.wanted, hoard.served, hoard.refused, hoard.closed
            ),
        );
    }
    html.push_str("</dl>\n</section>\n");
    html
}

fn promises(report: &DrillReport) -> String {
    let mut html = String::from("<section>\n<h2>Promises</h2>\n<ul>\n");
    for promise in &report.promises {
        let (class, mark) = match promise.kept {
            true => ("", "kept"),
            false => (" class=\"broken\"", "broken"),
        };
        let says = escaped(&promise.says());
        push(
            &mut html,
            format_args!("<li{class}><b>{mark}</b> {says}</li>\n"),
        );
    }
    html.push_str("</ul>\n</section>\n");
    html
}
