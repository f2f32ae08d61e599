//! Who is believed, source by source.

use http::Request;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use watertight_plan::{ApiKey, Jwt, Secret};

use super::*;

const FRIEND: [u8; 4] = [127, 0, 0, 1];
const STRANGER: [u8; 4] = [9, 9, 9, 9];
const SECRET: &[u8] = b"a secret of thirty-two bytes or so";

fn header_source() -> Source {
    Source::Header {
        name: "x-tenant-id".into(),
    }
}

fn jwt_source() -> Source {
    Source::Jwt {
        claim: "tenant".into(),
    }
}

fn with_jwt(keys: &[u8]) -> Identity {
    Identity {
        sources: vec![jwt_source(), header_source()],
        jwt: Some(Jwt {
            keys: Secret::new(keys),
            issuer: Some("login".into()),
            audience: None,
        }),
        ..Identity::default()
    }
}

fn ask(
    identity: &Identity,
    request: http::request::Builder,
    peer: [u8; 4],
) -> Result<(String, String), Reason> {
    let head = request.body(()).unwrap().into_parts().0;
    let identifier = Identifier::new(identity).unwrap();
    let path = head.uri.path().to_owned();
    let found = identifier.identify(&head, &path, peer.into())?;
    Ok((found.tenant.to_string(), found.path.into_owned()))
}

fn tenant(identity: &Identity, request: http::request::Builder) -> Result<String, Reason> {
    ask(identity, request, FRIEND).map(|(tenant, _)| tenant)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .chain(&[0; 2])
            .take(3)
            .fold(0_usize, |word, byte| word << 8 | usize::from(*byte));
        for digit in 0..=chunk.len() {
            text.push(char::from(DIGITS[(word >> (18 - 6 * digit)) & 63]));
        }
    }
    text
}

fn token(algorithm: &str, claims: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
    let message = format!(
        "{}.{}",
        base64(header.as_bytes()),
        base64(claims.as_bytes())
    );
    let signature = sign(message.as_bytes());
    format!("Bearer {message}.{}", base64(&signature))
}

fn hs256(claims: &str) -> String {
    token("HS256", claims, |message| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
        hmac::sign(&key, message).as_ref().to_vec()
    })
}

fn bearer(token: &str) -> http::request::Builder {
    Request::builder().header("authorization", token)
}

const GOOD: &str = r#"{"tenant":"acme","iss":"login","exp":4102444800}"#;

#[test]
fn a_header_counts_only_from_a_trusted_peer() {
    let request = || Request::builder().header("x-tenant-id", "acme");
    let identity = Identity::default();
    assert_eq!(tenant(&identity, request()).as_deref(), Ok("acme"));
    assert_eq!(ask(&identity, request(), STRANGER), Err(Reason::NoTenant));
    assert_eq!(tenant(&identity, Request::builder()), Err(Reason::NoTenant));
    let twice = request().header("x-tenant-id", "globex");
    assert_eq!(tenant(&identity, twice), Err(Reason::IdentityConflict));
    let bad = Request::builder().header("x-tenant-id", "__other__");
    assert_eq!(tenant(&identity, bad), Err(Reason::UnknownTenant));
}

#[test]
fn a_host_names_a_tenant_in_one_label() {
    let pattern = HostPattern {
        prefix: String::new(),
        suffix: ".shop.example".into(),
    };
    let identity = Identity {
        sources: vec![Source::Host(pattern)],
        ..Identity::default()
    };
    let host = |host: &str| tenant(&identity, Request::builder().header("host", host));
    assert_eq!(host("acme.shop.example").as_deref(), Ok("acme"));
    assert_eq!(host("ACME.Shop.Example:8080").as_deref(), Ok("acme"));
    assert_eq!(host("a.b.shop.example"), Err(Reason::NoTenant));
    assert_eq!(host(".shop.example"), Err(Reason::NoTenant));
    assert_eq!(host("[::1]:8080"), Err(Reason::NoTenant));
    let absolute = Request::builder().uri("http://globex.shop.example/x");
    assert_eq!(tenant(&identity, absolute).as_deref(), Ok("globex"));
}

#[test]
fn a_path_names_a_tenant_and_loses_it() {
    let identity = Identity {
        sources: vec![Source::Path {
            prefix: "/t/".into(),
        }],
        ..Identity::default()
    };
    let path = |path: &str| ask(&identity, Request::builder().uri(path), STRANGER);
    assert_eq!(
        path("/t/acme/cart/7"),
        Ok(("acme".into(), "/cart/7".into()))
    );
    assert_eq!(path("/t/acme"), Ok(("acme".into(), "/".into())));
    assert_eq!(path("/t/"), Err(Reason::NoTenant));
    assert_eq!(path("/cart"), Err(Reason::NoTenant));
}

#[test]
fn an_api_key_is_proof_and_a_wrong_one_is_refused() {
    let key = |secret: &str| Secret::new(secret.as_bytes());
    let identity = Identity {
        sources: vec![Source::ApiKey, header_source()],
        api_keys: vec![ApiKey {
            name: "ops".into(),
            keys: vec![key("first-key-of-acme"), key("second-key-of-acme")],
            tenant: "acme".parse().unwrap(),
            class: Class::Operations,
        }],
        ..Identity::default()
    };
    for secret in ["first-key-of-acme", "second-key-of-acme"] {
        let head = Request::builder()
            .header("x-api-key", secret)
            .body(())
            .unwrap();
        let head = head.into_parts().0;
        let identifier = Identifier::new(&identity).unwrap();
        let found = identifier.identify(&head, "/", STRANGER.into()).unwrap();
        assert_eq!(found.class, Some(Class::Operations));
        assert_eq!(found.tenant.as_str(), "acme");
    }
    let wrong = Request::builder()
        .header("x-api-key", "nobody's")
        .header("x-tenant-id", "acme");
    assert_eq!(tenant(&identity, wrong), Err(Reason::CredentialsInvalid));
    let other = Request::builder()
        .header("x-api-key", "first-key-of-acme")
        .header("x-tenant-id", "globex");
    assert_eq!(tenant(&identity, other), Err(Reason::IdentityConflict));
}

#[test]
fn an_hs256_token_is_checked_whole() {
    let identity = with_jwt(SECRET);
    assert_eq!(
        tenant(&identity, bearer(&hs256(GOOD))).as_deref(),
        Ok("acme")
    );
    for (claims, reason) in [
        (
            r#"{"tenant":"acme","iss":"login","exp":1}"#,
            Reason::CredentialsInvalid,
        ),
        (
            r#"{"tenant":"acme","iss":"login"}"#,
            Reason::CredentialsInvalid,
        ),
        (
            r#"{"tenant":"acme","exp":4102444800}"#,
            Reason::CredentialsInvalid,
        ),
        (
            r#"{"tenant":"acme","iss":"x","exp":4102444800}"#,
            Reason::CredentialsInvalid,
        ),
        (
            r#"{"tenant":"acme","iss":"login","exp":4102444800,"nbf":4102444700}"#,
            Reason::CredentialsInvalid,
        ),
        (r#"{"iss":"login","exp":4102444800}"#, Reason::NoTenant),
        (
            r#"{"tenant":7,"iss":"login","exp":4102444800}"#,
            Reason::NoTenant,
        ),
        (
            r#"{"tenant":"a b","iss":"login","exp":4102444800}"#,
            Reason::UnknownTenant,
        ),
    ] {
        assert_eq!(
            tenant(&identity, bearer(&hs256(claims))),
            Err(reason),
            "{claims}"
        );
    }
}

#[test]
fn a_forged_token_does_not_fall_back_to_a_header() {
    let identity = with_jwt(SECRET);
    let good = hs256(GOOD);
    let none = token("none", GOOD, |_| Vec::new());
    let unsigned = token("HS256", GOOD, |_| Vec::new());
    let other_key = token("HS256", GOOD, |message| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"another secret");
        hmac::sign(&key, message).as_ref().to_vec()
    });
    let cut = &good[..good.len() - 4];
    let critical = {
        let header = base64(br#"{"alg":"HS256","crit":["x"],"x":1}"#);
        let message = format!("{header}.{}", base64(GOOD.as_bytes()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
        let signature = base64(hmac::sign(&key, message.as_bytes()).as_ref());
        format!("Bearer {message}.{signature}")
    };
    assert_eq!(
        tenant(&identity, bearer(&critical)),
        Err(Reason::CredentialsInvalid)
    );
    for forged in [
        &*none,
        &*unsigned,
        &*other_key,
        cut,
        "Bearer x.y.z",
        "Bearer ",
    ] {
        let request = bearer(forged).header("x-tenant-id", "acme");
        assert_eq!(
            tenant(&identity, request),
            Err(Reason::CredentialsInvalid),
            "{forged}"
        );
    }
    let twice = bearer(&good).header("authorization", &*good);
    assert_eq!(tenant(&identity, twice), Err(Reason::CredentialsInvalid));
    let basic = bearer("Basic dXNlcg==").header("x-tenant-id", "acme");
    assert_eq!(
        tenant(&identity, basic).as_deref(),
        Ok("acme"),
        "another scheme is no token"
    );
}

#[test]
fn an_eddsa_key_checks_eddsa_and_nothing_else() {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let x = base64(pair.public_key().as_ref());
    let keys = format!(
        r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"1","x":"{x}"}}]}}"#
    );
    let identity = with_jwt(keys.as_bytes());
    let signed = token("EdDSA", GOOD, |message| {
        pair.sign(message).as_ref().to_vec()
    });
    assert_eq!(tenant(&identity, bearer(&signed)).as_deref(), Ok("acme"));
    let confused = token("HS256", GOOD, |message| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, pair.public_key().as_ref());
        hmac::sign(&key, message).as_ref().to_vec()
    });
    assert_eq!(
        tenant(&identity, bearer(&confused)),
        Err(Reason::CredentialsInvalid)
    );
}

/// A public key, a token that its private key signed, and the key's modulus. The private key was
/// thrown away.
fn rs256() -> [&'static str; 3] {
    let (key, rest) = include_str!("rs256.txt").split_at(451);
    let mut lines = rest.lines();
    [key, lines.next().unwrap(), lines.next().unwrap()]
}

#[test]
fn an_rsa_key_checks_rs256_and_nothing_else() {
    let [pem, signed, modulus] = rs256();
    let jwks = format!(r#"{{"keys":[{{"kty":"RSA","n":"{modulus}","e":"AQAB"}}]}}"#);
    for keys in [pem, &jwks] {
        let identity = with_jwt(keys.as_bytes());
        let request = |token: &str| bearer(&format!("Bearer {token}"));
        assert_eq!(tenant(&identity, request(signed)).as_deref(), Ok("acme"));
        let forged = signed.replace("XJ", "XK").replace(".ey", ".fy");
        assert_eq!(
            tenant(&identity, request(&forged)),
            Err(Reason::CredentialsInvalid)
        );
        let confused = token("HS256", GOOD, |message| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, pem.as_bytes());
            hmac::sign(&key, message).as_ref().to_vec()
        });
        assert_eq!(
            tenant(&identity, bearer(&confused)),
            Err(Reason::CredentialsInvalid)
        );
    }
}

#[test]
fn keys_that_cannot_be_used_are_refused_at_the_start() {
    for keys in [
        &b"too short"[..],
        b"{\"keys\":[]}",
        b"{not json",
        b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n",
    ] {
        assert!(Identifier::new(&with_jwt(keys)).is_err());
    }
    // The library's own signer is not installed: nothing here signs tokens.
    let signed = jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &serde_json::json!({}),
        &EncodingKey::from_secret(SECRET),
    );
    assert!(signed.is_err());
}
