//! The log of the node itself: to standard error, for people at a terminal and as JSON otherwise.
//!
//! The JSON has the same words as the access log (`time`, `node`, `region`), so that one query finds
//! both. `WATERTIGHT_LOG` sets the level: `error`, `warn`, `info` (the default), `debug`, `trace`.

use std::{fmt, io::IsTerminal};

use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    filter::LevelFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};
use watertight_plan::Node;

/// Starts the log of `node`. A second call changes nothing.
pub fn start(node: &Node, level: Option<&str>, colour: bool) {
    let level = level
        .and_then(|level| level.parse().ok())
        .unwrap_or(LevelFilter::INFO);
    let registry = tracing_subscriber::registry().with(level);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // A log that is there already stays.
    let _ = if std::io::stderr().is_terminal() {
        registry
            .with(layer.with_target(false).with_ansi(colour))
            .try_init()
    } else {
        let format = Json {
            node: node.id.to_string(),
            region: node.region.as_ref().map(ToString::to_string),
        };
        registry.with(layer.event_format(format)).try_init()
    };
}

/// One JSON object a line.
struct Json {
    node: String,
    region: Option<String>,
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        line.insert("time".to_owned(), now_rfc3339().into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        line.insert("node".to_owned(), self.node.as_str().into());
        if let Some(region) = &self.region {
            line.insert("region".to_owned(), region.as_str().into());
        }
        event.record(&mut Fields(&mut line));
        writeln!(writer, "{}", Value::Object(line))
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0
            .insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

#[expect(clippy::disallowed_methods, reason = "the log tells the time of day")]
fn now_rfc3339() -> String {
    humantime::format_rfc3339_millis(std::time::SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_json_with_node_and_region() {
        let lines = Lines::default();
        let writer = lines.clone();
        let format = Json {
            node: "edge-1".to_owned(),
            region: Some("westeurope".to_owned()),
        };
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .event_format(format);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!(
                upstream = "http://a\nb",
                count = 7,
                open = true,
                "breaker \"x\""
            );
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert_eq!(line["node"], "edge-1");
        assert_eq!(line["region"], "westeurope");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "breaker \"x\"");
        assert_eq!(line["upstream"], "http://a\nb");
        assert_eq!(line["count"], 7);
        assert_eq!(line["open"], true);
    }
}
