//! `${VARIABLE}` and `${VARIABLE:-default}` inside values.
//!
//! It happens after the TOML is parsed, value by value, and once: what a variable holds is text
//! and nothing else, whatever characters it is made of. `$${` stands for `${`; any other `$` for
//! itself.

use super::Environment;

/// Longest value after variables were put in, in bytes.
pub(super) const LENGTH_MAX: usize = 64 * 1024;
/// Longest name of a variable, in bytes.
const NAME_MAX: usize = 256;

/// What is wrong with a value, and what to do.
pub(super) type Fault = (String, String);

/// `text` with its variables put in.
pub(super) fn expand(text: &str, environment: Environment<'_>) -> Result<String, Fault> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = from.strip_prefix("$${") {
            out.push_str("${");
            rest = after;
        } else if let Some(inner) = from.strip_prefix("${") {
            let Some((inner, after)) = inner.split_once('}') else {
                return Err((
                    "`${` is not closed".to_owned(),
                    "close it with `}`, or write `$${` for the characters themselves".to_owned(),
                ));
            };
            out.push_str(&value_of(inner, environment)?);
            rest = after;
        } else {
            out.push('$');
            rest = &from[1..];
        }
        if out.len() > LENGTH_MAX {
            break;
        }
    }
    out.push_str(rest);
    if out.len() > LENGTH_MAX {
        return Err((
            format!("the value is longer than {LENGTH_MAX} bytes with its variables put in"),
            "shorten it".to_owned(),
        ));
    }
    Ok(out)
}

fn value_of(inner: &str, environment: Environment<'_>) -> Result<String, Fault> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let first = name.bytes().next();
    let is_name = first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.len() <= NAME_MAX;
    if !is_name {
        return Err((
            "this is not the name of an environment variable".to_owned(),
            "a name is made of letters, digits and `_`; write `$${` for the characters themselves"
                .to_owned(),
        ));
    }
    if default.is_some_and(|default| default.contains("${")) {
        return Err((
            format!("the default of `{name}` has a variable in it"),
            "a default is plain text".to_owned(),
        ));
    }
    match environment(name).or_else(|| default.map(str::to_owned)) {
        Some(value) => Ok(value),
        None => Err((
            format!("environment variable `{name}` is not set"),
            format!("set it, or give a default: `${{{name}:-…}}`"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "A" => Some("1".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${A} $${A} \" \n[x]".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_defaults_and_escapes() {
        for (text, value) in [
            ("${A}", "1"),
            ("x${A}y${A}", "x1y1"),
            ("${B:-two}", "two"),
            ("${B:-}", ""),
            ("${EMPTY:-two}", ""),
            ("$${A}", "${A}"),
            ("$A $ 5$", "$A $ 5$"),
            ("$$$${A}", "$$${A}"),
            ("${B:-a:-b}", "a:-b"),
        ] {
            assert_eq!(expand(text, &environment).as_deref(), Ok(value), "{text}");
        }
        for text in ["${B}", "${A", "${}", "${1}", "${a b}", "${B:-${A}}"] {
            assert!(expand(text, &environment).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_put_in_is_never_interpreted() {
        assert_eq!(
            expand("<${NESTED}>", &environment).as_deref(),
            Ok("<${A} $${A} \" \n[x]>")
        );
    }

    #[test]
    fn a_value_has_a_longest_length() {
        let long = |_: &str| Some("x".repeat(LENGTH_MAX));
        assert!(expand("${A}", &long).is_ok());
        assert!(expand("${A}x", &long).is_err());
        assert!(expand(&"${A}".repeat(1_000_000), &long).is_err());
    }

    proptest! {
        #[test]
        fn a_value_without_a_dollar_is_unchanged(text in "[^$]{0,60}") {
            prop_assert_eq!(expand(&text, &environment), Ok(text));
        }

        #[test]
        fn a_variable_is_put_in_as_it_is(value in ".{0,60}") {
            let environment = |_: &str| Some(value.clone());
            prop_assert_eq!(expand("a${X}b", &environment), Ok(format!("a{value}b")));
        }
    }
}
