//! Why a request was refused, and what every protocol answers.
//!
//! One list, so that a log line, a metric, a problem document and a gRPC status always agree.
//! `429` says that the caller is over its own quota; `503` says that we protect ourselves or
//! somebody else. The two are never mixed: a client that gets 429 should ask for less, one that
//! gets 503 should come back.

use std::fmt;

/// Why a request was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Reason {
    /// The target refuses this tenant's calls, or is down: its breaker is open.
    BreakerOpen,
    /// We are unwell, and serve less of this tier until we are well again.
    BrownOut,
    /// Every seat that the request may take is held, and its queue does not take more.
    CompartmentFull,
    /// A token or key was shown and failed its check: forged, expired, or nobody's.
    CredentialsInvalid,
    /// A seat will not, or did not, come free before the request's deadline.
    DeadlineExceeded,
    /// The node is stopping.
    Draining,
    /// The sources of identity name different tenants.
    IdentityConflict,
    /// No source named a tenant.
    NoTenant,
    /// The tenant asks for more than it gets, and this request is of the part that goes unserved so
    /// that the rest is served in time; or it sat for too long on a borrowed seat.
    Shed,
    /// The tenant has as many requests in flight as its plan allows.
    TenantConcurrency,
    /// The tenant's own queue is full.
    TenantQueueFull,
    /// The tenant is over its own rate.
    TenantRate,
    /// The tenant is not listed, and unlisted tenants are refused.
    UnknownTenant,
}

/// The canonical gRPC status codes that refusals use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum GrpcCode {
    /// 7
    PermissionDenied,
    /// 8
    ResourceExhausted,
    /// 14
    Unavailable,
    /// 16
    Unauthenticated,
}

impl GrpcCode {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::PermissionDenied => 7,
            Self::ResourceExhausted => 8,
            Self::Unavailable => 14,
            Self::Unauthenticated => 16,
        }
    }
}

impl Reason {
    /// All reasons, in alphabetical order of their labels.
    pub const ALL: [Self; 13] = [
        Self::BreakerOpen,
        Self::BrownOut,
        Self::CompartmentFull,
        Self::CredentialsInvalid,
        Self::DeadlineExceeded,
        Self::Draining,
        Self::IdentityConflict,
        Self::NoTenant,
        Self::Shed,
        Self::TenantConcurrency,
        Self::TenantQueueFull,
        Self::TenantRate,
        Self::UnknownTenant,
    ];

    /// The reason in logs, metrics and problem documents.
    pub const fn label(self) -> &'static str {
        match self {
            Self::BreakerOpen => "breaker-open",
            Self::BrownOut => "brown-out",
            Self::CompartmentFull => "compartment-full",
            Self::CredentialsInvalid => "credentials-invalid",
            Self::DeadlineExceeded => "deadline-exceeded",
            Self::Draining => "draining",
            Self::IdentityConflict => "identity-conflict",
            Self::NoTenant => "no-tenant",
            Self::Shed => "shed",
            Self::TenantConcurrency => "tenant-concurrency",
            Self::TenantQueueFull => "tenant-queue-full",
            Self::TenantRate => "tenant-rate",
            Self::UnknownTenant => "unknown-tenant",
        }
    }

    /// The HTTP status of the answer.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::CredentialsInvalid | Self::NoTenant => 401,
            Self::IdentityConflict | Self::UnknownTenant => 403,
            Self::TenantConcurrency | Self::TenantQueueFull | Self::TenantRate => 429,
            Self::BreakerOpen
            | Self::BrownOut
            | Self::CompartmentFull
            | Self::DeadlineExceeded
            | Self::Draining
            | Self::Shed => 503,
        }
    }

    /// The gRPC status of the answer.
    pub const fn grpc_code(self) -> GrpcCode {
        match self.http_status() {
            401 => GrpcCode::Unauthenticated,
            403 => GrpcCode::PermissionDenied,
            429 => GrpcCode::ResourceExhausted,
            _ => GrpcCode::Unavailable,
        }
    }

    /// Whether a quota of the tenant's own decided, rather than the health of what is shared.
    pub const fn is_own_quota(self) -> bool {
        self.http_status() == 429
    }

    /// One sentence for a person.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::BreakerOpen => {
                "The service is failing for this tenant, or is down; calls to it are held back."
            }
            Self::BrownOut => "We are under strain and serve less of this kind until it is over.",
            Self::CompartmentFull => "The compartment is full, and so is its queue.",
            Self::CredentialsInvalid => "The token or key shown is forged, expired, or nobody's.",
            Self::DeadlineExceeded => "No seat came free before the request's deadline.",
            Self::Draining => "This node is stopping; try another.",
            Self::IdentityConflict => "The request names more than one tenant.",
            Self::NoTenant => "The request does not say on whose behalf it is made.",
            Self::Shed => {
                "More is asked for than can be served in time; this request was left out."
            }
            Self::TenantConcurrency => {
                "As many requests are in flight as the caller's limit allows."
            }
            Self::TenantQueueFull => "The tenant already has as many requests waiting as it may.",
            Self::TenantRate => "A limit of this caller is used up.",
            Self::UnknownTenant => "The tenant is not known here.",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_listed_once_and_in_order() {
        let labels: Vec<_> = Reason::ALL.iter().map(|reason| reason.label()).collect();
        let mut sorted = labels.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(labels, sorted);
    }

    #[test]
    fn own_quota_is_429_and_protection_is_503() {
        for reason in Reason::ALL {
            let expected = match reason {
                Reason::CredentialsInvalid | Reason::NoTenant => 401,
                Reason::IdentityConflict | Reason::UnknownTenant => 403,
                reason if reason.is_own_quota() => 429,
                _ => 503,
            };
            assert_eq!(reason.http_status(), expected, "{reason}");
        }
        assert_eq!(Reason::TenantRate.grpc_code().number(), 8);
        assert_eq!(Reason::BreakerOpen.grpc_code().number(), 14);
    }
}
