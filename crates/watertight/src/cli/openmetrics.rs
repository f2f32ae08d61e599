//! Reading what `/metrics` writes: OpenMetrics text, as far as a node writes it.
//!
//! Lines that mean nothing to us are passed over: whoever reads a newer node than itself should
//! still see what it knows.

/// A metric, with its samples.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Family<'t> {
    pub(super) name: &'t str,
    pub(super) kind: &'t str,
    pub(super) help: &'t str,
    pub(super) samples: Vec<Sample<'t>>,
}

/// One line of numbers; the number as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Sample<'t> {
    pub(super) name: &'t str,
    pub(super) labels: Vec<(&'t str, &'t str)>,
    pub(super) value: &'t str,
}

/// The metrics in `text`, in its order.
pub(super) fn families(text: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (Some(what), Some(name)) = (words.next(), words.next()) else {
                continue;
            };
            if families.last().is_none_or(|family| family.name != name) {
                families.push(Family {
                    name,
                    ..Family::default()
                });
            }
            let rest = words.next().unwrap_or_default();
            match (what, families.last_mut()) {
                ("HELP", Some(family)) => family.help = rest,
                ("TYPE", Some(family)) => family.kind = rest,
                _ => {}
            }
        } else if let (Some(sample), Some(family)) = (sample(line), families.last_mut()) {
            family.samples.push(sample);
        }
    }
    families
}

impl Sample<'_> {
    /// The value of the label `name`; empty when there is none.
    pub(super) fn label(&self, name: &str) -> &str {
        let label = self.labels.iter().find(|(other, _)| *other == name);
        label.map_or("", |(_, value)| value)
    }

    /// The number; 0 when it is none.
    pub(super) fn number(&self) -> f64 {
        self.value.parse().unwrap_or_default()
    }
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(after) = rest.strip_prefix('{') {
        rest = after;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let end = closing_quote(after)?;
            labels.push((label, &after[..end]));
            rest = after[end + 1..].trim_start_matches(',');
        }
        rest = &rest[1..];
    }
    let value = rest.split_whitespace().next()?;
    Some(Sample {
        name,
        labels,
        value,
    })
}

/// Where the first quote is that no backslash stands before.
fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let text = "# HELP a Help with words.\n# TYPE a counter\n\
                    a_total{x=\"1\",y=\"a\\\"},b\"} 2.5 17\na_total 3\nbroken{\n# EOF\n";
        let families = families(text);
        assert_eq!(families.len(), 1);
        let family = &families[0];
        assert_eq!((family.name, family.kind), ("a", "counter"));
        assert_eq!(family.help, "Help with words.");
        assert_eq!(family.samples.len(), 2);
        assert_eq!(family.samples[0].label("y"), "a\\\"},b");
        assert_eq!(family.samples[0].number(), 2.5);
        assert_eq!(family.samples[1].labels, []);
        assert_eq!(family.samples[1].label("x"), "");
    }
}
