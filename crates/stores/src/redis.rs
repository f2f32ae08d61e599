//! Redis 7.0 and its like: a batch is one call of a script.
//!
//! The script is the ledger of guard, in the server's time and in whole numbers. It is called by its
//! hash; a server that does not know it yet is sent the text. A connection is used by one batch at a
//! time, and one whose answer was given up is not used again: what arrives on it late is refused by
//! its number.
//!
//! The server should not evict keys that have a time to live (`maxmemory-policy noeviction`): what
//! it evicts is forgotten, which costs a burst. Keys go by themselves when nothing of them counts.

mod wire;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo as _,
    RedisError as Wrong, ServerErrorKind, Value, aio::MultiplexedConnection,
};
use watertight_guard::throttle::lease::{Answer, Batch, Failure, Store, Trading};

/// Where Redis is, and how to speak to it.
#[derive(Clone, Eq, PartialEq)]
pub struct RedisSettings {
    /// `redis://host:port/database`. A password in it is refused: it would be in every log.
    pub url: String,
    /// The password, if it wants one.
    pub password: Option<String>,
    /// What keys begin with. Nodes that count together have the same.
    pub prefix: String,
    /// How long it may take to connect. What a batch may take is up to who sends it.
    pub timeout: Duration,
}

/// Settings that name no Redis.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RedisError {
    /// TLS.
    #[error("`rediss://` (TLS) is not spoken yet: use `redis://` on a network of your own")]
    Tls,
    /// A URL of another kind.
    #[error("`{url}` is no URL of a Redis: expected `redis://host:port/database` ({why})")]
    Url {
        /// The URL given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A password in the URL.
    #[error("the URL of Redis contains a password, and URLs end up in logs: use `password`")]
    PasswordInUrl,
    /// A prefix that is empty, too long, or has characters that need care.
    #[error("`{0}` is no prefix for keys: 1 to 64 of letters, digits, `-`, `_`, `.` and `:`")]
    Prefix(String),
}

/// A store in Redis.
pub struct Redis {
    client: Client,
    settings: RedisSettings,
    script: String,
    hash: redis::Script,
    /// The connection, while no batch is on it.
    idle: Mutex<Option<MultiplexedConnection>>,
}

impl Redis {
    /// A store that connects when it is first asked.
    ///
    /// # Errors
    /// When the settings cannot be those of a Redis.
    pub fn new(settings: RedisSettings) -> Result<Self, RedisError> {
        let url = &settings.url;
        if url.starts_with("rediss://") {
            return Err(RedisError::Tls);
        }
        let no_url = |why: String| RedisError::Url {
            url: url.clone(),
            why,
        };
        let info = url.as_str().into_connection_info();
        let info = info.map_err(|error| no_url(error.to_string()))?;
        if info.redis_settings().password().is_some() {
            return Err(RedisError::PasswordInUrl);
        }
        if !matches!(info.addr(), ConnectionAddr::Tcp(..)) {
            return Err(no_url("not TCP".to_owned()));
        }
        let is_fine = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        let prefix = &settings.prefix;
        if prefix.is_empty() || prefix.len() > 64 || !prefix.chars().all(is_fine) {
            return Err(RedisError::Prefix(prefix.clone()));
        }
        let mut redis = info.redis_settings().clone();
        if let Some(password) = &settings.password {
            redis = redis.set_password(password);
        }
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let info = info.set_redis_settings(redis).set_tcp_settings(tcp);
        let client = Client::open(info).map_err(|error| no_url(error.to_string()))?;
        Ok(Self {
            client,
            settings,
            script: SCRIPT.to_owned(),
            hash: redis::Script::new(SCRIPT),
            idle: Mutex::new(None),
        })
    }

    /// The same with another script, for tests that stop its clock.
    #[doc(hidden)]
    #[must_use]
    pub fn with_script(mut self, change: impl FnOnce(&str) -> String) -> Self {
        self.script = change(SCRIPT);
        self.hash = redis::Script::new(&self.script);
        self
    }

    async fn ask(&self, batch: &Batch) -> Result<Answer, Failure> {
        let failure = |wrong: Wrong| self.failure(&wrong);
        let idle = self.idle().take();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect().await.map_err(failure)?,
        };
        let command = |name, script| wire::command(name, script, &self.settings.prefix, batch);
        let by_hash = command("EVALSHA", self.hash.get_hash());
        let value = connection.send_packed_command(&by_hash).await;
        let value = match value.and_then(Value::extract_error) {
            Err(wrong) if wrong.kind() == NO_SCRIPT => {
                let by_text = command("EVAL", &self.script);
                let value = connection.send_packed_command(&by_text).await;
                value.and_then(Value::extract_error)
            }
            value => value,
        };
        let answer = wire::answer(&value.map_err(failure)?, batch)?;
        *self.idle() = Some(connection);
        Ok(answer)
    }

    async fn connect(&self) -> Result<MultiplexedConnection, Wrong> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.settings.timeout))
            .set_response_timeout(None);
        self.client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    fn idle(&self) -> MutexGuard<'_, Option<MultiplexedConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What went wrong, and what to do about it.
    fn failure(&self, wrong: &Wrong) -> Failure {
        let url = &self.settings.url;
        let advice = match wrong.code() {
            Some("NOAUTH" | "WRONGPASS") => "set `password` to the one that it was started with",
            Some("NOPERM") => "let its user EVAL, and use keys with our prefix",
            Some("OOM") => "give it more memory: a batch writes a few bytes for each key",
            Some("READONLY") => "name the primary: limits are written",
            Some("LOADING" | "BUSY" | "MASTERDOWN") => "it will answer when it is done",
            _ if wrong.kind() == ErrorKind::AuthenticationFailed => {
                "set `password` to the one that it was started with"
            }
            _ if wrong.is_connection_refusal() => "is it running, and is the address right?",
            _ if wrong.is_io_error() => "is it reachable from here?",
            _ => "is it a Redis of version 7.0 or later?",
        };
        Failure(format!("{url}: {wrong}: {advice}"))
    }
}

impl Store for Redis {
    fn trade(&self, batch: Arc<Batch>) -> Trading<'_> {
        Box::pin(async move { self.ask(&batch).await })
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = &self.settings.url;
        f.debug_struct("Redis")
            .field("url", url)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("url", &self.url)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .finish()
    }
}

const NO_SCRIPT: ErrorKind = ErrorKind::Server(ServerErrorKind::NoScript);
const SCRIPT: &str = include_str!("redis/trade.lua");

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> RedisSettings {
        RedisSettings {
            url: url.to_owned(),
            password: None,
            prefix: "watertight".to_owned(),
            timeout: Duration::from_millis(50),
        }
    }

    #[test]
    fn settings_that_cannot_be_are_refused_with_advice() {
        let wrong = |url| Redis::new(settings(url)).unwrap_err().to_string();
        assert!(wrong("rediss://localhost").contains("redis://"));
        assert!(wrong("http://localhost").contains("expected `redis://"));
        assert!(wrong("redis+unix:///run/redis.sock").contains("no URL of a Redis"));
        let secret = wrong("redis://:hidden@localhost");
        assert!(secret.contains("`password`") && !secret.contains("hidden"));
        let spaced = RedisSettings {
            prefix: "a b".to_owned(),
            ..settings("redis://localhost")
        };
        assert!(Redis::new(spaced).is_err());
        assert!(Redis::new(settings("redis://localhost:7000/3")).is_ok());
    }

    #[test]
    fn the_password_is_not_shown() {
        let password = Some("hidden".to_owned());
        let settings = RedisSettings {
            password,
            ..settings("redis://localhost")
        };
        assert!(!format!("{settings:?} {:?}", Redis::new(settings.clone())).contains("hidden"));
    }
}
