//! What the guarded resource keeps: the newest token that it has seen.
//!
//! A holder may be frozen between asking whether it holds the lease and acting, for as long as it
//! likes, and its messages may be on their way for as long. No clock helps against that. The
//! resource can tell: it has seen the token of a later term, or it has not, and then the late action
//! comes before all of that term and harms nobody. It keeps the newest token where it keeps its
//! data, and writes both together.

use super::Token;

/// Admits what is done in the newest term, and nothing older.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Fence {
    newest: Token,
}

/// Something was to be done in the name of a term that is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "token {token} is older than {newest}, which has been seen: who sends it has lost its lease, and must stop"
)]
pub struct Stale {
    /// The token that came.
    pub token: Token,
    /// The newest that was seen.
    pub newest: Token,
}

impl Fence {
    /// A fence of a resource that has seen this token, or [`Token::NONE`].
    pub const fn new(newest: Token) -> Self {
        Self { newest }
    }

    /// Whether an action may be done that comes with this token.
    ///
    /// # Errors
    /// [`Stale`] if a newer one was seen.
    pub fn admit(&mut self, token: Token) -> Result<(), Stale> {
        let newest = self.newest;
        if token < newest {
            return Err(Stale { token, newest });
        }
        self.newest = token;
        Ok(())
    }

    /// The newest token that was seen.
    pub const fn newest(&self) -> Token {
        self.newest
    }
}
