//! Files that a configuration names.

use std::{fs, path::Path};

use watertight::config::{Failure, load, parse};
use watertight_plan::ListenerKind;

use super::scratch;

fn write(path: &Path, content: &[u8], mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

const TOKEN: &str = "[listen.admin]\nbind = '0.0.0.0:7070'\ntoken_file = 'token'";

#[test]
fn a_configuration_is_loaded_with_its_files_beside_it() {
    let base = scratch("config-load");
    let file = base.join("watertight.toml");
    write(&file, TOKEN.as_bytes(), 0o644);
    write(&base.join("token"), b"0123456789abcdef\n", 0o600);
    let loaded = load(&file, &|_| None).unwrap();
    assert!(loaded.notes.is_empty());
    let ListenerKind::Admin(admin) = &loaded.plan.listeners()[0].kind else {
        panic!("the first listener is not admin");
    };
    assert_eq!(admin.token.as_ref().unwrap().expose(), b"0123456789abcdef");
}

#[test]
fn a_secret_that_everybody_may_read_is_said_aloud() {
    let base = scratch("config-open");
    write(&base.join("token"), b"0123456789abcdef", 0o604);
    let loaded = parse("f", TOKEN, &base, &|_| None).unwrap();
    assert!(loaded.notes[0].to_string().contains("every user"));
}

#[test]
fn a_bad_secret_is_refused_and_never_shown() {
    let base = scratch("config-bad");
    let message = |content: &[u8]| {
        write(&base.join("token"), content, 0o600);
        let failure = parse("f", TOKEN, &base, &|_| None).unwrap_err();
        assert!(!failure.render(true).contains("hunter2"));
        failure.problems()[0].message.clone()
    };
    assert_eq!(
        message(b"hunter2\n"),
        "a token in this file has 7 bytes; it needs 16 to 4096"
    );
    assert!(message(b"hunter2 hunter2 hunter2").contains("no header can carry"));
    assert_eq!(message(b"\n"), "this file is empty");
    assert!(message(&[b'x'; (1 << 20) + 1]).contains("longer than"));
    fs::remove_file(base.join("token")).unwrap();
    fs::create_dir(base.join("token")).unwrap();
    let failure = parse("f", TOKEN, &base, &|_| None).unwrap_err();
    assert_eq!(
        failure.problems()[0].message,
        "this is a directory, not a file"
    );
}

#[test]
fn a_file_of_api_keys_holds_one_a_line() {
    let base = scratch("config-keys");
    write(
        &base.join("a"),
        b"0123456789abcdef\r\n\nfedcba9876543210\n",
        0o600,
    );
    let text = "[identity]\ntenant = ['api-key']\n[plans.p]\n[tenants.t]\nplan = 'p'\n\
                [api-keys.a]\nfile = 'a'\ntenant = 't'\nclass = 'operations'\n";
    let plan = parse("f", text, &base, &|_| None).unwrap().plan;
    let keys = &plan.identity().api_keys[0].keys;
    assert_eq!(keys[0].expose(), b"0123456789abcdef");
    assert_eq!(keys[1].expose(), b"fedcba9876543210");
    let nobody = text.replace("tenant = 't'", "tenant = 'nobody'");
    let failure = parse("f", &nobody, &base, &|_| None).unwrap_err();
    assert!(failure.to_string().contains("add a table [tenants.nobody]"));
    let twice = format!("{text}[api-keys.b]\nfile = 'a'\ntenant = 't'\n");
    let failure = parse("f", &twice, &base, &|_| None).unwrap_err();
    assert!(failure.to_string().contains("also in the file of another"));
}

#[test]
fn certificates_are_checked_when_they_are_read() {
    let base = scratch("config-tls");
    let made = rcgen::generate_simple_self_signed(vec!["shop.example".to_owned()]).unwrap();
    write(&base.join("c"), made.cert.pem().as_bytes(), 0o644);
    write(
        &base.join("k"),
        made.signing_key.serialize_pem().as_bytes(),
        0o600,
    );
    let text = "[listen.traffic]\nbind = '0.0.0.0:443'\n\
                tls = { certificate = 'c', key = 'k', client_ca = 'c' }";
    let plan = parse("f", text, &base, &|_| None).unwrap().plan;
    assert!(
        plan.listeners()[1]
            .tls
            .as_ref()
            .unwrap()
            .client_ca
            .is_some()
    );
    write(&base.join("c"), b"not a certificate", 0o644);
    write(&base.join("k"), b"not a key", 0o600);
    let failure = parse("f", text, &base, &|_| None).unwrap_err().to_string();
    assert!(failure.contains("no certificate in PEM"), "{failure}");
    assert!(failure.contains("no private key in PEM"), "{failure}");
}

#[test]
fn a_configuration_that_cannot_be_read_is_told_from_a_bad_one() {
    let base = scratch("config-unreadable");
    let of = |name: &str| load(&base.join(name), &|_| None).unwrap_err();
    assert!(matches!(of("none"), Failure::Unreadable { .. }));
    assert_eq!(of("none").exit_code(), 2);
    assert!(of("none").to_string().contains("there is no such file"));
    fs::write(base.join("binary"), [0xff, 0xfe]).unwrap();
    assert!(of("binary").to_string().contains("not text in UTF-8"));
    assert_eq!(of("").exit_code(), 2);
    fs::write(base.join("bad"), "a b").unwrap();
    assert!(matches!(of("bad"), Failure::NotToml(_)));
    assert_eq!(of("bad").exit_code(), 2);
    fs::write(base.join("wrong"), "a = 1").unwrap();
    assert_eq!(of("wrong").exit_code(), 1);
}

#[test]
fn keys_of_a_cluster_are_read_in_their_order_and_never_shown() {
    let base = scratch("config-keys");
    let keys = "[listen.gossip]\nbind = '10.0.0.1:7946'\n\
                keys = [{ id = 7, file = 'new' }, { id = 1, file = 'old' }]";
    let good = "3bd53e24ea44f4bd86ab58e4d4cf4bdee9f35dcc7b2b8bb1ae1e3e4ad27b0a4c";
    write(&base.join("new"), format!("{good}\n").as_bytes(), 0o600);
    write(&base.join("old"), good.as_bytes(), 0o600);
    let plan = parse("f", keys, &base, &|_| None).unwrap().plan;
    let gossip = plan.listeners().iter().find(|it| it.name == "gossip");
    let ListenerKind::Gossip { keys: read } = &gossip.unwrap().kind else {
        panic!("gossip is something else");
    };
    let ids: Vec<u8> = read.iter().map(|key| key.id).collect();
    assert_eq!((ids, read[0].key.expose().len()), (vec![7, 1], 32));
    assert_eq!(read[0].key.expose()[..2], [0x3b, 0xd5]);
    for wrong in [&good[1..], &good.replace('e', "g"), &format!("{good}00")] {
        write(&base.join("old"), wrong.as_bytes(), 0o600);
        let failure = parse("f", keys, &base, &|_| None).unwrap_err();
        assert!(
            failure.problems()[0]
                .message
                .contains("64 hexadecimal digits")
        );
        assert!(!failure.render(true).contains(&wrong[..8]));
    }
}
