//! Holds a document against the schema: unknown keys, missing keys, types, words, ranges.
//!
//! Everything that is wrong in the whole document is reported at once, with the nearest right key.
//! What is wrong is also taken out of the document, so that the rest can be read on and its own
//! mistakes be found; for a number that is out of its range another stands in. Variables are put into
//! values here, since every value is visited.

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Environment,
    findings::{Finding, Findings},
    interpolate,
    located::Span,
    nearest::{did_you_mean, nearest},
    path::{Path, Step},
    stand_in::stand_in,
    unbuilt,
};

/// A walk over a document.
pub(super) struct Shape<'w, 's> {
    findings: &'w mut Findings<'s>,
    environment: Environment<'w>,
    path: Path,
}

impl<'w, 's> Shape<'w, 's> {
    pub(super) fn new(findings: &'w mut Findings<'s>, environment: Environment<'w>) -> Self {
        Self {
            findings,
            environment,
            path: Path::default(),
        }
    }

    /// Reports what is wrong in `table` and takes it out. False when the table cannot stand
    /// without what is missing or was taken out.
    pub(super) fn table(&mut self, schema: &Value, table: &mut DeTable<'_>, place: &Span) -> bool {
        let mut stands = true;
        let required: Vec<&str> = schema["required"]
            .as_array()
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        for name in &required {
            if !table.contains_key(*name) {
                stands = false;
                if !is_misspelt(schema, table, name) {
                    self.missing(schema, name, place);
                }
            }
        }
        let mut doomed = Vec::new();
        for (key, value) in table.iter_mut() {
            let name: &str = key.get_ref();
            self.path.push(Step::Key(name.to_owned()));
            let keeps = match child(schema, name) {
                _ if unbuilt::is_key(&self.path) => {
                    self.not_built(&key.span(), &format!("`{name}`"), "leave it out".to_owned());
                    false
                }
                Some(child) => self.value(child, value, &key.span()),
                None => {
                    self.unknown(schema, name, &key.span());
                    false
                }
            };
            if !keeps {
                self.findings.take_out(&self.path);
            }
            self.path.pop();
            if !keeps {
                stands &= !required.contains(&name);
                doomed.push(name.to_owned());
            }
        }
        for name in doomed {
            table.remove(name.as_str());
        }
        stands
    }

    fn value(&mut self, schema: &Value, value: &mut Spanned<DeValue<'_>>, place: &Span) -> bool {
        let span = value.span();
        if let DeValue::String(text) = value.get_mut() {
            if text.contains('$') {
                match interpolate::expand(text, self.environment) {
                    Ok(expanded) => {
                        self.findings.remember_inserted(&span, &expanded, text);
                        *text = expanded.into();
                    }
                    Err((message, help)) => {
                        self.findings.add(Finding::new(&span, message).help(help));
                        return false;
                    }
                }
            }
            if unbuilt::is_word(&self.path, text) {
                let built = words(schema).join(", ");
                let help = match built.as_str() {
                    "" => "leave it out".to_owned(),
                    _ => format!("built so far: {built}"),
                };
                self.not_built(&span, &format!("`{text}`"), help);
                return false;
            }
        }
        if !self.is_right_type(schema, value.get_ref(), &span) {
            return false;
        }
        match value.get_mut() {
            DeValue::String(text) => self.is_word(schema, text, &span),
            number @ (DeValue::Integer(_) | DeValue::Float(_)) => {
                self.number(schema, number, &span)
            }
            DeValue::Array(items) => {
                let mut stands = self.is_right_length(schema, items.len(), &span);
                for (index, item) in items.iter_mut().enumerate() {
                    self.path.push(Step::Index(index));
                    let place = item.span();
                    stands &= self.value(&schema["items"], item, &place);
                    self.path.pop();
                }
                stands
            }
            DeValue::Table(table) => self.table(schema, table, place),
            DeValue::Boolean(_) | DeValue::Datetime(_) => true,
        }
    }

    fn is_right_type(&mut self, schema: &Value, value: &DeValue<'_>, span: &Span) -> bool {
        let (kind, called) = match value {
            DeValue::String(_) => ("string", "a string"),
            DeValue::Integer(_) => ("integer", "an integer"),
            DeValue::Float(_) => ("number", "a number with a point"),
            DeValue::Boolean(_) => ("boolean", "a boolean"),
            DeValue::Datetime(_) => ("date", "a date"),
            DeValue::Array(_) => ("array", "an array"),
            DeValue::Table(_) => ("object", "a table"),
        };
        let wanted = types(schema);
        let fits = |wanted: &&str| **wanted == *kind || (*wanted == "number" && kind == "integer");
        if wanted.iter().any(fits) {
            return true;
        }
        let names: Vec<&str> = wanted.iter().copied().map(type_name).collect();
        let example = schema["examples"][0].as_str();
        let help = match (value, schema["title"].as_str(), example) {
            (DeValue::Integer(number), Some("Duration"), _) => Some(format!(
                "a duration has a unit: \"{number}ms\", \"{number}s\""
            )),
            (_, _, Some(example)) => Some(format!("for example \"{example}\"")),
            _ if !words(schema).is_empty() => {
                Some(format!("possible here: {}", words(schema).join(", ")))
            }
            _ if names == [type_name("boolean")] => {
                Some("write true or false, without quotes".to_owned())
            }
            _ => None,
        };
        let message = format!(
            "`{}` must be {}, not {called}",
            self.path,
            names.join(" or ")
        );
        let label = format!("this is {called}");
        self.findings
            .add(Finding::new(span, message).label(label).help(help));
        false
    }

    fn is_word(&mut self, schema: &Value, text: &str, span: &Span) -> bool {
        let words = words(schema);
        if words.is_empty() || words.contains(&text) {
            return true;
        }
        let list = format!("possible here: {}", words.join(", "));
        let help = match nearest(text, words) {
            Some(right) => format!("did you mean `{right}`? {list}"),
            None => list,
        };
        let message = format!("`{}` does not know the word `{text}`", self.path);
        let finding = Finding::new(span, message).label("unknown word");
        self.findings.add(finding.help(help));
        false
    }

    /// Reports a number that is out of its range, and puts another in its place.
    fn number(&mut self, schema: &Value, value: &mut DeValue<'_>, span: &Span) -> bool {
        let (Some(min), Some(max)) = (schema["minimum"].as_f64(), schema["maximum"].as_f64())
        else {
            return true;
        };
        let number = match value {
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
                .ok()
                .map(|number| number as f64),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => None,
        };
        let most = match number {
            Some(number) if (min..=max).contains(&number) => return true,
            Some(number) if number < min => format!("{min} at least"),
            _ => format!("{max} at most"),
        };
        let found = number.map_or(String::new(), |number| format!(", not {number}"));
        let message = format!("`{}` lies between {min} and {max}{found}", self.path);
        let help = match schema["description"].as_str().map(first_sentence) {
            Some(meaning) => format!("{most}: {meaning}"),
            None => most,
        };
        let finding = Finding::new(span, message).help(help);
        match stand_in(schema, &self.path, value) {
            Some(other) => {
                self.findings.add_of_number(finding, &self.path);
                *value = other;
                true
            }
            None => {
                self.findings.add(finding);
                false
            }
        }
    }

    fn is_right_length(&mut self, schema: &Value, length: usize, span: &Span) -> bool {
        let bound = |key: &str| {
            let bound = schema[key].as_u64();
            bound.and_then(|bound| usize::try_from(bound).ok())
        };
        let message = match (bound("minItems"), bound("maxItems")) {
            (Some(min), _) if length < min => {
                format!("`{}` has {length} entries; the least is {min}", self.path)
            }
            (_, Some(max)) if length > max => {
                format!("`{}` has {length} entries; the most is {max}", self.path)
            }
            _ => return true,
        };
        self.findings.add(Finding::new(span, message));
        false
    }

    fn missing(&mut self, schema: &Value, name: &str, place: &Span) {
        let message = format!("`{}` lacks `{name}`", self.path);
        let help = schema["properties"][name]["description"]
            .as_str()
            .and_then(|text| text.lines().next())
            .map(|text| format!("`{name}`: {text}"));
        let finding = Finding::new(place, message).label(format!("`{name}` is missing here"));
        self.findings.add(finding.help(help));
    }

    fn unknown(&mut self, schema: &Value, name: &str, span: &Span) {
        let keys = keys(schema);
        let list = format!("possible here: {}", keys.join(", "));
        let help = match did_you_mean(name, keys) {
            Some(nearest) => format!("{nearest} {list}"),
            None => list,
        };
        self.path.pop();
        let message = if self.path.is_root() {
            format!("there is no key `{name}`")
        } else {
            format!("`{}` has no key `{name}`", self.path)
        };
        self.path.push(Step::Key(name.to_owned()));
        self.findings
            .add(Finding::new(span, message).label("unknown key").help(help));
    }

    fn not_built(&mut self, span: &Span, what: &str, help: String) {
        let message = format!("{what} is not built yet in this version");
        self.findings.add(
            Finding::new(span, message)
                .label("not built yet")
                .help(help),
        );
    }
}

/// The schema of the value that `name` has in a table with `schema`.
fn child<'v>(schema: &'v Value, name: &str) -> Option<&'v Value> {
    if let Some(child) = schema["properties"].get(name) {
        return Some(child);
    }
    match &schema["patternProperties"] {
        Value::Object(patterns) => patterns.values().next(),
        _ => None,
    }
}

/// Whether an unknown key of `table` is most likely `name`, and will be reported as such.
fn is_misspelt(schema: &Value, table: &DeTable<'_>, name: &str) -> bool {
    table.keys().any(|key| {
        let key: &str = key.get_ref();
        child(schema, key).is_none() && nearest(key, keys(schema)) == Some(name)
    })
}

/// The keys that a table with `schema` can have.
fn keys(schema: &Value) -> Vec<&str> {
    match &schema["properties"] {
        Value::Object(properties) => properties.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The first sentence of a description, on one line.
fn first_sentence(text: &str) -> String {
    let line = text.replace('\n', " ");
    match line.split_once(". ") {
        Some((first, _)) => format!("{first}."),
        None => line,
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ if schema["oneOf"].is_array() => vec!["string"],
        _ => Vec::new(),
    }
}

/// The words that a value may be; empty when it may be any text.
fn words(schema: &Value) -> Vec<&str> {
    if let Value::Array(words) = &schema["enum"] {
        return words.iter().filter_map(Value::as_str).collect();
    }
    match &schema["oneOf"] {
        Value::Array(choices) => choices
            .iter()
            .filter_map(|choice| choice["const"].as_str())
            .collect(),
        _ => Vec::new(),
    }
}

fn type_name(kind: &str) -> &str {
    match kind {
        "string" => "a string",
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "a boolean",
        "array" => "an array",
        _ => "a table",
    }
}
