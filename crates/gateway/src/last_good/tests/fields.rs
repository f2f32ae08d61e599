//! What fields say about keeping an answer.

use super::{super::terms::*, *};

const HOUR: Duration = Duration::from_secs(3_600);

fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        fields.append(*name, value.parse().unwrap());
    }
    fields
}

/// For how many seconds an answer may be kept.
fn kept(asked: &[(&'static str, &str)], answer: &[(&'static str, &str)]) -> Option<u64> {
    let terms = Terms::of(&fields(asked), &fields(answer), HOUR)?;
    Some(terms.left().as_secs())
}

#[test]
fn a_private_answer_is_never_kept() {
    assert_eq!(kept(&[], &[]), Some(3_600));
    for answer in [
        ("set-cookie", "a=b"),
        ("cache-control", "private"),
        ("cache-control", "max-age=5, Private"),
        ("cache-control", "private=\"x-name, y\", public"),
        ("cache-control", "no-store"),
        ("cache-control", "NO-STORE,public"),
        ("cache-control", "no-cache"),
        ("cache-control", "no-cache=\"set-cookie\""),
        ("vary", "*"),
        ("vary", "accept,*"),
    ] {
        assert_eq!(kept(&[], &[answer]), None, "{answer:?}");
        let both = [("cache-control", "public"), answer];
        assert_eq!(kept(&[], &both), None, "public, and {answer:?}");
    }
    let asked = [("cache-control", "no-store")];
    assert_eq!(kept(&asked, &[("cache-control", "public")]), None);
}

#[test]
fn an_answer_to_who_showed_who_it_is_is_kept_only_if_it_is_for_all() {
    for name in ["authorization", "cookie"] {
        let asked = [(name, "me")];
        assert_eq!(kept(&asked, &[]), None);
        assert_eq!(kept(&asked, &[("cache-control", "max-age=60")]), None);
        assert_eq!(kept(&asked, &[("cache-control", "public")]), Some(3_600));
        assert_eq!(kept(&asked, &[("cache-control", "s-maxage=60")]), Some(60));
        let revalidated = ("cache-control", "must-revalidate, max-age=60");
        assert_eq!(kept(&asked, &[revalidated]), Some(60));
    }
}

#[test]
fn what_must_not_be_served_stale_is_kept_while_it_is_fresh() {
    for (control, seconds) in [
        ("max-age=60", Some(3_600)),
        ("max-age=60, must-revalidate", Some(60)),
        ("proxy-revalidate, max-age=\"60\"", Some(60)),
        ("must-revalidate", None),
        ("s-maxage=9, max-age=60", Some(9)),
        ("s-maxage=99999999999999999999", Some(3_600)),
        ("max-age=60, max-age=30, must-revalidate", Some(30)),
    ] {
        assert_eq!(
            kept(&[], &[("cache-control", control)]),
            seconds,
            "{control}"
        );
    }
    assert_eq!(kept(&[], &[("age", "600")]), Some(3_000));
    assert_eq!(kept(&[], &[("age", "3600")]), None);
    assert_eq!(kept(&[], &[("age", "old")]), None);
    assert_eq!(kept(&[], &[("age", "1"), ("age", "2")]), None);
}

#[test]
fn what_cannot_be_understood_forbids() {
    for control in [
        "public; max-age=60",
        "public, max-age=-1",
        "public, max-age",
        "public, max-age=",
        "public, s-maxage=1.5",
        "public, x=\"open",
        "public, =5",
        "public, a b",
    ] {
        assert_eq!(kept(&[], &[("cache-control", control)]), None, "{control}");
    }
    assert_eq!(kept(&[], &[("vary", "accept; q=1")]), None);
    assert_eq!(kept(&[], &[("cache-control", ", , public,")]), Some(3_600));
    assert_eq!(
        kept(&[], &[("cache-control", "x=\"a, no-store\", y=z")]),
        Some(3_600)
    );
}

#[test]
fn lines_of_a_field_are_one_list() {
    let lines = fields(&[("vary", "B, a"), ("vary", " a ,c")]);
    let names = vary(lines.get_all("vary")).unwrap();
    assert_eq!(names, ["a", "b", "c"]);
    let split = [
        ("cache-control", "max-age=60"),
        ("cache-control", "must-revalidate"),
    ];
    assert_eq!(kept(&[], &split), Some(60));
}

#[test]
fn an_absent_field_is_not_an_empty_one() {
    let answer = fields(&[("vary", "accept")]);
    let variant = |asked: &[(&'static str, &str)]| Variant::of(&answer, &fields(asked)).unwrap();
    assert_ne!(variant(&[]), variant(&[("accept", "")]));
    assert_eq!(variant(&[("accept", " a ")]), variant(&[("accept", "a")]));
    let joined = variant(&[("accept", "a, b")]);
    assert_eq!(variant(&[("accept", "a"), ("accept", "b")]), joined);
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let mut head = fields(&[("etag", "W/\"a,b\""), ("content-type", "text/plain")]);
    head.insert("date", "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
    let answer = Answer::new(&head, b"text", Duration::from_secs(7), at(10));
    let serve = |tags: &str| {
        let asked = fields(&[("if-none-match", tags)]);
        let answer = answer.serve(at(15), &Method::GET, &asked);
        (answer.status().as_u16(), answer.headers().clone())
    };
    let (status, headers) = serve("\"x\", \"a,b\"");
    assert_eq!(status, 304);
    assert_eq!(headers["age"], "12");
    assert!(!headers.contains_key("content-type") && headers.contains_key("date"));
    for other in ["\"a\"", "a,b", "\"open", "*"] {
        assert_eq!(
            serve(other).0,
            if other == "*" { 304 } else { 200 },
            "{other}"
        );
    }
}
