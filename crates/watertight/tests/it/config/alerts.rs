//! Alerts: what is read, and what the defaults are.

use std::time::Duration;

use watertight_guard::alert::Kind;
use watertight_plan::{Alerting, Webhook};

use super::{parse, read, scratch};

fn alerting(text: &str) -> Alerting {
    let loaded = read(text).unwrap_or_else(|failure| panic!("{failure}"));
    loaded.plan.alerting().clone()
}

#[test]
fn alerts_are_on_by_themselves_and_tell_no_webhook() {
    assert_eq!(alerting(""), Alerting::default());
    assert_eq!(alerting("[alerts]"), Alerting::default());
}

#[test]
fn what_is_written_of_alerts_is_read() {
    let read = alerting(
        "[alerts]\nevery = '250ms'\nafter = '5s'\nhold = '1m'\nqueue_wait = '20ms'\n\
         borrowed_for = '10s'\noff = ['limit-near', 'breaker-open']\n\
         external_url = 'https://ops.example/'\n\
         webhook = { url = 'http://alerts:9095/hook?key=x', repeat = '1h' }",
    );
    assert_eq!(read.every, Duration::from_millis(250));
    assert_eq!(read.board.after, Duration::from_secs(5));
    assert_eq!(read.board.hold, Duration::from_secs(60));
    assert_eq!(read.queue_wait, Duration::from_millis(20));
    assert_eq!(read.borrowed_for, Duration::from_secs(10));
    assert_eq!(read.off, [Kind::BreakerOpen, Kind::LimitNear].into());
    assert_eq!(read.external_url.as_deref(), Some("https://ops.example"));
    let webhook = read.webhook.unwrap();
    assert_eq!(webhook.authority(), "alerts:9095");
    assert_eq!(webhook.path.expose(), b"/hook?key=x");
    assert_eq!(webhook.repeat, Duration::from_secs(3_600));
    assert_eq!(webhook.timeout, Webhook::TIMEOUT_DEFAULT);
}

#[test]
fn the_token_of_the_webhook_comes_from_a_file_and_does_not_show() {
    let folder = scratch("alerts");
    std::fs::write(folder.join("token"), "a-very-secret-token\n").unwrap();
    let text = "alerts.webhook = { url = 'http://a/s3cret-path', token_file = 'token' }";
    let loaded = parse("watertight.toml", text, &folder, &|_| None).unwrap();
    let webhook = loaded.plan.alerting().webhook.clone().unwrap();
    assert_eq!(
        webhook.token.as_ref().unwrap().expose(),
        b"a-very-secret-token"
    );
    let shown = format!("{webhook:?}");
    assert!(
        !shown.contains("very") && !shown.contains("s3cret"),
        "{shown}"
    );
}
