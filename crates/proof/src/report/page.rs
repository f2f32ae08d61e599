//! The report as one page: a picture, a table, a verdict. Self-contained: no script, no request, light and dark.
//!
//! The picture is the latency of tier 1 in the three phases on the same axes: flat, a wall, flat. Every number on the
//! page is in the report's JSON, which the page carries with it.

mod chart;

use super::table::{grouped, percent};
use super::{Figures, Named, Noisy, Report};
use crate::markup::escaped;
use crate::scenario::Phase;
use crate::{Class, verdict};
use std::fmt::Write;

const STYLE: &str = include_str!("page/style.css");

/// The page, complete from its doctype on.
#[must_use]
pub fn html(report: &Report) -> String {
    let broken = verdict::broken(report);
    let title = match broken.is_empty() {
        true => "The walls held",
        false => "The walls did not hold",
    };
    let calm = report
        .phase(Phase::Calm)
        .and_then(|phase| phase.tiers.get(&1));
    let flat_ms = calm.map(|tier| verdict::flat_p99_ms(tier.p99_ms));
    let says: Vec<_> = broken.iter().map(ToString::to_string).collect();
    let page = Page {
        is_good: broken.is_empty(),
        title,
        eyebrow: "one storm, with and without walls",
        sentence: &verdict::sentence(report),
        json: &report.json(),
    };
    let sections = [
        panels(report, flat_ms),
        promises(&says),
        noisy(report, "What the noisy tenant was answered"),
        alerts(report),
        table(report),
        FOOTER.to_owned(),
    ];
    page.with(&sections.concat())
}

/// What a page says at its head, and the numbers that it carries.
pub(crate) struct Page<'a> {
    pub(crate) is_good: bool,
    pub(crate) title: &'a str,
    pub(crate) eyebrow: &'a str,
    pub(crate) sentence: &'a str,
    pub(crate) json: &'a str,
}

impl Page<'_> {
    /// The whole page around its sections.
    pub(crate) fn with(&self, sections: &str) -> String {
        let mark = if self.is_good { "held" } else { "failed" };
        // Inside a script element only `<` can do harm; in JSON it stands in texts alone, where its escape is the same
        // text.
        let json = self.json.replace('<', "\\u003c");
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title} \u{2013} Watertight</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <header>\n<p class=\"eyebrow\">Watertight \u{b7} {eyebrow}</p>\n\
             <h1 class=\"{mark}\">{title}</h1>\n<p class=\"verdict\">{sentence}</p>\n</header>\n\
             {sections}</main>\n\
             <script type=\"application/json\" id=\"report\">\n{json}\n</script>\n</body>\n</html>\n",
            title = self.title,
            eyebrow = escaped(self.eyebrow),
            sentence = escaped(self.sentence),
        )
    }
}

const FOOTER: &str = "<footer>\n<p>Open loop: every request has an intended time, fixed by a seed before the first is \
    sent, and its latency runs from then. A request that failed counts with its time-out. Percentiles are exact \
    (nearest rank). Everyone but the noisy tenant sends the same requests at the same times in all three phases.</p>\n\
    <p>Every number on this page is in the JSON that it carries, element <code>report</code>, and so is every single \
    request that the numbers are made of.</p>\n</footer>\n";

pub(crate) fn panels<P: Named>(report: &Report<P>, flat_ms: Option<f64>) -> String {
    let scale = chart::Scale::over(report);
    let mut html = String::from("<section class=\"panels\" aria-label=\"Latency of tier 1\">\n");
    for phase in &report.phases {
        let (p99, success) = phase.tiers.get(&1).map_or_else(
            || ("\u{2013}".to_owned(), "not measured".to_owned()),
            |tier| (format!("{:.0}", tier.p99_ms), percent(tier.success_pct)),
        );
        push(
            &mut html,
            format_args!(
                "<figure class=\"{name}\">\n<figcaption><h2>{title}</h2>\
                 <p class=\"hero\"><b>{p99}</b> ms <span>tier-1 p99</span></p>\
                 <p class=\"sub\">{success} served \u{b7} goodput {goodput:.0}/s{busy}</p></figcaption>\n{chart}</figure>\n",
                name = phase.name,
                title = phase.name.title(),
                goodput = phase.goodput_per_s,
                busy = phase.flooded_busy_pct.map_or_else(String::new, |pct| {
                    format!(" \u{b7} flooded seats {pct:.0} % busy")
                }),
                chart = chart::panel(phase, &scale, flat_ms),
            ),
        );
    }
    html.push_str("</section>\n");
    html.push_str(
        "<p class=\"key\"><span class=\"swatch p99\"></span>p99 <span class=\"swatch p50\"></span>median \
         <span class=\"swatch flat\"></span>the highest p99 that counts as flat \
         \u{b7} tier 1, second by second, without the noisy tenant</p>\n",
    );
    html
}

pub(crate) fn promises(broken: &[String]) -> String {
    if broken.is_empty() {
        return String::new();
    }
    let mut html = String::from("<section>\n<h2>Broken promises</h2>\n<ul class=\"broken\">\n");
    for promise in broken {
        push(&mut html, format_args!("<li>{}</li>\n", escaped(promise)));
    }
    html.push_str("</ul>\n</section>\n");
    html
}

pub(crate) fn noisy<P: Named>(report: &Report<P>, heading: &str) -> String {
    let mut html = format!("<section>\n<h2>{heading}</h2>\n<dl class=\"noisy\">\n");
    for phase in &report.phases {
        push(
            &mut html,
            format_args!(
                "<dt>{}<small>{} requests</small></dt>\n<dd>{}<p>{}</p></dd>\n",
                phase.name.title(),
                grouped(phase.noisy.requests),
                chart::bar(&phase.noisy),
                answers(&phase.noisy),
            ),
        );
    }
    html.push_str("</dl>\n</section>\n");
    html
}

fn alerts<P: Named>(report: &Report<P>) -> String {
    let mut items = String::new();
    for phase in &report.phases {
        for says in &phase.alerts {
            let (title, says) = (phase.name.title(), escaped(says));
            push(&mut items, format_args!("<li>{title}: {says}</li>\n"));
        }
    }
    if items.is_empty() {
        return items;
    }
    format!("<section>\n<h2>Alerts that fired</h2>\n<ul>\n{items}</ul>\n</section>\n")
}

fn answers(noisy: &Noisy) -> String {
    let mut html = String::new();
    for (key, count) in &noisy.status {
        push(
            &mut html,
            format_args!(
                "<span class=\"answer\"><i class=\"swatch {}\"></i>{} \u{d7} {}</span> ",
                chart::kind(key),
                escaped(key),
                grouped(*count)
            ),
        );
    }
    if noisy.malformed > 0 {
        push(
            &mut html,
            format_args!("({} refusals not well formed)", grouped(noisy.malformed)),
        );
    }
    html
}

pub(crate) fn table<P: Named>(report: &Report<P>) -> String {
    let mut html = String::from(
        "<section>\n<h2>By tier and tenants</h2>\n<div class=\"scroll\"><table>\n<thead><tr><th>Tier</th><th>Tenants</th>\
         <th>Phase</th><th>Requests</th><th>Success</th><th>p50</th><th>p99</th></tr></thead>\n",
    );
    for group in report.groups() {
        html.push_str("<tbody>\n");
        for (place, (phase, figures)) in group.rows.iter().enumerate() {
            let name = (place == 0).then_some((group.tier, group.class));
            row(&mut html, name, *phase, figures);
        }
        html.push_str("</tbody>\n");
    }
    html.push_str("</table></div>\n</section>\n");
    html
}

fn row<P: Named>(html: &mut String, group: Option<(u8, Class)>, phase: P, figures: &Figures) {
    let group = group.map_or_else(
        || "<td></td><td></td>".to_owned(),
        |(tier, class)| format!("<th scope=\"row\">{tier}</th><td>{class}</td>"),
    );
    push(
        html,
        format_args!(
            "<tr class=\"{phase}\">{group}<td>{title}</td><td>{requests}</td><td>{success}</td>\
             <td>{p50_ms:.1} ms</td><td>{p99_ms:.1} ms</td></tr>\n",
            title = phase.title(),
            requests = grouped(figures.requests),
            success = percent(figures.success_pct),
            p50_ms = figures.p50_ms,
            p99_ms = figures.p99_ms,
        ),
    );
}

pub(crate) fn push(html: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = html.write_fmt(text);
}
