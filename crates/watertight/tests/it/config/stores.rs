//! Stores outside of the node.

use super::read;

const REDIS: &str = "[stores.redis]\nurl = 'redis://127.0.0.1:6379'\n";
const SHARED: &str = "throttle = [{ limit = 5, per = '1s', cluster = 'leased' }]\n";

#[cfg(not(feature = "engines"))]
mod without_engines {
    use super::*;

    #[test]
    fn a_store_is_refused_and_the_binary_blamed() {
        let failure = read(&format!("{SHARED}{REDIS}")).unwrap_err();
        assert_eq!(failure.problems().len(), 1, "{failure}");
        let problem = &failure.problems()[0];
        assert_eq!((problem.line, problem.column), (2, 1), "{failure}");
        assert!(problem.message.contains("built without `engines`"));
        assert!(
            problem
                .help
                .as_ref()
                .unwrap()
                .contains("--features engines")
        );
    }

    #[test]
    fn a_limit_that_needs_a_store_says_so() {
        let failure = read(SHARED).unwrap_err();
        let help = failure.problems()[0].help.clone().unwrap();
        assert!(
            help.contains("[stores.redis]") && help.contains("`engines`"),
            "{help}"
        );
    }
}

#[cfg(feature = "engines")]
mod with_engines {
    use std::{fs, path::Path, time::Duration};

    use watertight::config::parse;
    use watertight_guard::throttle::lease::Sharing;
    use watertight_plan::Across;

    use super::{super::scratch, *};

    #[test]
    fn a_store_is_read_with_its_defaults() {
        let loaded = read(&format!("{SHARED}{REDIS}")).unwrap();
        assert!(loaded.notes.is_empty(), "{:?}", loaded.notes);
        let store = loaded.plan.throttling().store.clone().unwrap();
        assert_eq!(store.url, "redis://127.0.0.1:6379/0");
        assert_eq!(store.password, None);
        assert_eq!(store.prefix, "watertight");
        assert_eq!(store.timeout, Duration::from_millis(50));
        assert_eq!(store.nodes, 1);
    }

    #[test]
    fn every_key_of_a_store_is_read_and_its_password_is_not_shown() {
        let base = scratch("config-redis");
        fs::write(base.join("password"), "short\n").unwrap();
        let text = format!(
            "{SHARED}{REDIS}password_file = 'password'\nprefix = 'shop:'\ntimeout = '5ms'\nnodes = 3"
        );
        let store = parse("f", &text, &base, &|_| None).unwrap();
        let store = store.plan.throttling().store.clone().unwrap();
        assert_eq!(store.password.as_ref().unwrap().expose(), b"short");
        assert_eq!((store.prefix.as_str(), store.nodes), ("shop:", 3));
        assert_eq!(store.timeout, Duration::from_millis(5));
        assert!(!format!("{store:?}").contains("short"));
    }

    #[test]
    fn every_word_of_cluster_is_read_where_it_is_possible() {
        for (word, sharing) in [
            ("exact", Sharing::Exact),
            ("leased", Sharing::Leased),
            ("local", Sharing::Local),
        ] {
            let text = format!("{}{REDIS}", SHARED.replace("leased", word));
            let plan = read(&text).unwrap().plan;
            assert_eq!(plan.limits()[0].across, Across::Cluster(sharing));
        }
        for (keys, help) in [
            (
                "algorithm = 'concurrency', limit = 5",
                "leave `cluster` out",
            ),
            (
                "counts = 'bytes', limit = 5, per = '1s'",
                "leave `cluster` out",
            ),
            (
                "excess = 'delay', max_wait = '1s', limit = 5, per = '1s'",
                "leave `cluster` out",
            ),
            (
                "algorithm = 'leaky-bucket', limit = 5, per = '1s'",
                "`exact` or `local`",
            ),
        ] {
            let text = format!("throttle = [{{ {keys}, cluster = 'leased' }}]\n{REDIS}");
            let failure = read(&text).unwrap_err();
            let problem = &failure.problems()[0];
            assert_eq!(&text[problem.span.clone()], "'leased'", "{failure}");
            assert!(failure.to_string().contains(help), "{failure}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_store_is_said_at_its_place() {
        for (keys, place) in [
            ("url = 'redis://:x@h:1'", "'redis://:x@h:1'"),
            ("url = 'rediss://h:1'", "'rediss://h:1'"),
            ("url = 'redis://h:1'\nprefix = 'a b'", "'a b'"),
            ("url = 'redis://h:1'\ntimeout = '2m'", "'2m'"),
            ("url = 'redis://h:1'\nnodes = 0", "0"),
            ("url = 'redis://h:1'\npassword_file = 'none'", "'none'"),
        ] {
            let text = format!("[stores.redis]\n{keys}");
            let failure = parse("f", &text, Path::new("/nonexistent"), &|_| None).unwrap_err();
            assert_eq!(
                &text[failure.problems()[0].span.clone()],
                place,
                "{failure}"
            );
        }
    }

    #[test]
    fn a_region_that_the_node_does_not_have_is_said_aloud() {
        let text = SHARED.replace("limit = 5", "limit = 5, by = ['region']");
        let notes = |more: &str| read(&format!("{text}{REDIS}{more}")).unwrap().notes;
        let said = notes("")[0].to_string();
        assert!(said.contains("the node has no region"), "{said}");
        assert!(notes("[node]\nregion = 'r'").is_empty());
    }

    #[test]
    fn a_store_that_nobody_uses_is_said_aloud() {
        let notes = read(REDIS).unwrap().notes;
        assert!(notes[0].to_string().contains("no limit says `cluster`"));
    }
}
