//! What the schema allows, what the loader accepts, and what the documentation says agree on any
//! limit that can be written.

use proptest::{prelude::*, sample::select, sample::subsequence};
use serde_json::Value;
use watertight::config::schema;

use super::read;

const ALGORITHMS: [&str; 6] = [
    "concurrency",
    "fixed-window",
    "leaky-bucket",
    "sliding-buckets",
    "sliding-log",
    "token-bucket",
];
const BY: [&str; 10] = [
    "address", "global", "key", "plan", "region", "route", "segment", "service", "tenant", "user",
];
/// Fallbacks, and whether they are right.
const FALLBACKS: [(&str, bool); 10] = [
    ("{ status = 204 }", true),
    (
        "{ status = 503, content_type = 'text/plain', body = 'x' }",
        true,
    ),
    ("{ body = '{}' }", true),
    ("{ stale = '5m' }", true),
    ("{ header = 'x-do-less', value = '1' }", true),
    ("{}", false),
    ("{ content_type = 'text/plain' }", false),
    ("{ value = '1' }", false),
    ("{ stale = '5m', body = 'x' }", false),
    ("{ stale = '5m', header = 'x-do-less' }", false),
];

/// The keys of a limit.
#[derive(Clone, Debug)]
struct Keys {
    algorithm: Option<&'static str>,
    limit: u64,
    has_per: bool,
    has_burst: bool,
    counts: Option<&'static str>,
    by: Option<Vec<&'static str>>,
    excess: Option<&'static str>,
    has_max_wait: bool,
    has_queue: bool,
    fallback: Option<(&'static str, bool)>,
    near: Option<u32>,
    cluster: Option<&'static str>,
}

prop_compose! {
    fn counting()(
        algorithm in select(&ALGORITHMS[..]),
        says_algorithm in any::<bool>(),
        limit in select(vec![1_u64, 10_000, 10_001]),
        is_odd in prop::array::uniform3(prop::bool::weighted(0.1)),
        counts in select(vec![None, None, Some("requests"), Some("cost"), Some("bytes")]),
    ) -> Keys {
        let algorithm = says_algorithm.then_some(algorithm);
        let is_gauge = algorithm == Some("concurrency");
        Keys {
            algorithm,
            limit,
            has_per: is_gauge == is_odd[0],
            has_burst: is_odd[1],
            counts: counts.filter(|_| !is_gauge || is_odd[2]),
            by: None,
            excess: None,
            has_max_wait: false,
            has_queue: false,
            fallback: None,
            near: None,
            cluster: None,
        }
    }
}

prop_compose! {
    /// Any limit, with as many right ones among them as wrong ones.
    fn keys()(
        counting in counting(),
        by in prop::option::of(prop_oneof![
            9 => subsequence(BY.to_vec(), 0..=3),
            1 => Just(vec!["global"]),
        ]),
        excess in select(vec![None, None, Some("reject"), Some("delay"), Some("degrade")]),
        is_odd in prop::array::uniform3(prop::bool::weighted(0.1)),
        fallback in select(&FALLBACKS[..]),
        near in prop::option::of(prop_oneof![9 => 1..=100_u32, 1 => 0..=120_u32]),
        cluster in select(vec![None, None, None, Some("exact"), Some("leased"), Some("local")]),
    ) -> Keys {
        let (delays, degrades) = (excess == Some("delay"), excess == Some("degrade"));
        Keys {
            by,
            excess,
            has_max_wait: (delays && counting.counts != Some("bytes")) != is_odd[0],
            has_queue: is_odd[1],
            fallback: (degrades != is_odd[2]).then_some(fallback),
            near,
            cluster,
            ..counting
        }
    }
}

impl Keys {
    /// The document.
    fn text(&self) -> String {
        let mut keys = vec![format!("limit = {}", self.limit)];
        let mut add = |has: bool, key: String| keys.extend(has.then_some(key));
        let word = |key: &str, word: Option<&str>| format!("{key} = '{}'", word.unwrap_or(""));
        add(self.algorithm.is_some(), word("algorithm", self.algorithm));
        add(self.has_per, "per = '1h'".to_owned());
        add(self.has_burst, "burst = 7".to_owned());
        add(self.counts.is_some(), word("counts", self.counts));
        if let Some(by) = &self.by {
            add(true, format!("by = {by:?}"));
        }
        add(self.excess.is_some(), word("excess", self.excess));
        add(self.has_max_wait, "max_wait = '1s'".to_owned());
        add(self.has_queue, "queue = 3".to_owned());
        if let Some((fallback, _)) = self.fallback {
            add(true, format!("fallback = {fallback}"));
        }
        if let Some(near) = self.near {
            add(true, format!("near = {near}"));
        }
        add(self.cluster.is_some(), word("cluster", self.cluster));
        let store = match self.cluster {
            Some(_) => "[stores.redis]\nurl = 'redis://h:1'\n",
            None => "",
        };
        format!("throttle = [{{ {} }}]\n{store}", keys.join(", "))
    }

    /// Whether the documentation says that it is right.
    fn is_right(&self) -> bool {
        let algorithm = self.algorithm.unwrap_or("token-bucket");
        let is_gauge = algorithm == "concurrency";
        let is_paced = self.counts == Some("bytes");
        let excess = self.excess.unwrap_or("reject");
        let is_counted = self.has_per != is_gauge
            && (!self.has_burst || algorithm == "token-bucket")
            && (algorithm != "sliding-log" || self.limit <= 10_000)
            && (!is_gauge || matches!(self.counts, None | Some("requests")));
        let is_shared = match &self.by {
            Some(by) => !by.is_empty() && (by.len() == 1 || !by.contains(&"global")),
            None => true,
        };
        let is_served = if is_paced {
            let says_more = self.has_max_wait || self.has_queue || self.fallback.is_some();
            matches!(self.excess, None | Some("delay")) && !says_more
        } else {
            self.has_max_wait == (excess == "delay")
                && (!self.has_queue || excess == "delay")
                && self.fallback.is_some() == (excess == "degrade")
                && self.fallback.is_none_or(|(_, is_right)| is_right)
        };
        let has_slack = !matches!(algorithm, "leaky-bucket" | "sliding-log");
        let is_clustered = match self.cluster {
            None => true,
            Some(_) if !cfg!(feature = "engines") => false,
            Some(word) => {
                !is_gauge && !is_paced && excess != "delay" && (word != "leased" || has_slack)
            }
        };
        let is_near = self.near.is_none_or(|near| (1..=100).contains(&near));
        is_counted && is_shared && is_served && is_clustered && is_near
    }
}

/// Whether `schema` allows `value`, by the words of JSON Schema that we use.
fn allows(schema: &Value, value: &Value) -> bool {
    let all = |key: &str, test: &dyn Fn(&Value) -> bool| match &schema[key] {
        Value::Null => true,
        wanted => test(wanted),
    };
    let kind = match value {
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        _ => "object",
    };
    let is_kind = |wanted: &Value| wanted == kind || (wanted == "number" && kind == "integer");
    let some = |wanted: &Value, test: &dyn Fn(&Value) -> bool| match wanted {
        Value::Array(wanted) => wanted.iter().filter(|wanted| test(wanted)).count(),
        wanted => usize::from(test(wanted)),
    };
    let number = value.as_f64();
    let length = value.as_array().map(Vec::len);
    all("type", &|wanted| some(wanted, &is_kind) > 0)
        && all("const", &|wanted| wanted == value)
        && all("enum", &|wanted| some(wanted, &|word| word == value) > 0)
        && all("oneOf", &|wanted| {
            some(wanted, &|one| allows(one, value)) == 1
        })
        && all("anyOf", &|wanted| {
            some(wanted, &|one| allows(one, value)) > 0
        })
        && all("minimum", &|min| {
            number.is_none_or(|it| it >= min.as_f64().unwrap())
        })
        && all("maximum", &|max| {
            number.is_none_or(|it| it <= max.as_f64().unwrap())
        })
        && all("minItems", &|min| {
            length.is_none_or(|it| it as u64 >= min.as_u64().unwrap())
        })
        && all("maxItems", &|max| {
            length.is_none_or(|it| it as u64 <= max.as_u64().unwrap())
        })
        && all("required", &|names| {
            let has = |name: &Value| value.get(name.as_str().unwrap()).is_some();
            names.as_array().unwrap().iter().all(has)
        })
        && value
            .as_array()
            .into_iter()
            .flatten()
            .all(|item| allows(&schema["items"], item))
        && value.as_object().into_iter().flatten().all(|(key, child)| {
            let is_known = match &schema["properties"][key] {
                Value::Null => schema["additionalProperties"] != false,
                known => allows(known, child),
            };
            is_known
                && all("propertyNames", &|names| {
                    allows(names, &key.as_str().into())
                })
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_limit_loads_exactly_if_the_documentation_allows_it(keys in keys()) {
        let text = keys.text();
        let loaded = read(&text);
        prop_assert_eq!(loaded.is_ok(), keys.is_right(), "{}{:?}", text, loaded);
        let document: Value = toml::from_str(&text).unwrap();
        if loaded.is_ok() {
            prop_assert!(allows(&schema(), &document), "{text}");
        } else if !allows(&schema(), &document) {
            prop_assert!(!keys.is_right(), "{text}");
        }
    }
}

#[test]
fn the_words_that_are_tried_are_those_of_the_schema() {
    let schema = schema();
    let limit = &schema["properties"]["throttle"]["items"]["properties"];
    let words = |schema: &Value| {
        let choices = schema["oneOf"].as_array().unwrap().iter();
        let mut words: Vec<String> = choices
            .map(|choice| choice["const"].as_str().unwrap().to_owned())
            .collect();
        words.sort_unstable();
        words
    };
    assert_eq!(words(&limit["algorithm"]), ALGORITHMS);
    assert_eq!(words(&limit["by"]["items"]), BY);
    assert_eq!(words(&limit["counts"]), ["bytes", "cost", "requests"]);
    assert_eq!(words(&limit["excess"]), ["degrade", "delay", "reject"]);
    assert_eq!(words(&limit["cluster"]), ["exact", "leased", "local"]);
    for place in ["plans", "services", "tenants"] {
        let tables = schema["properties"][place]["patternProperties"].as_object();
        let table = tables.unwrap().values().next().unwrap();
        let throttle = &table["properties"]["throttle"]["items"];
        assert_eq!(throttle, &schema["properties"]["throttle"]["items"]);
    }
}

#[test]
fn the_schema_refuses_a_fallback_of_two_kinds() {
    for (fallback, is_right) in FALLBACKS {
        let text = format!("throttle = [{{ limit = 1, fallback = {fallback} }}]");
        let document: Value = toml::from_str(&text).unwrap();
        assert_eq!(allows(&schema(), &document), is_right, "{fallback}");
    }
}
