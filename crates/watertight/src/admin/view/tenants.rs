//! The tenants.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watertight_layers::TenantView;

/// A page of listed tenants.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Tenants {
    /// The tenants, in the order that was asked for.
    pub tenants: Vec<Tenant>,
    /// What to give as `after` for the next page; none: this is the last.
    pub next: Option<String>,
}

/// A listed tenant.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Tenant {
    /// Its name.
    pub tenant: String,
    /// Its plan.
    pub plan: String,
    /// Its requests in flight, waiting ones included.
    pub in_flight: u32,
    /// How many it may have.
    pub max_in_flight: Option<u32>,
    /// Client connections that count for it.
    #[serde(default)]
    pub connections: u32,
    /// How many it may have.
    pub max_connections: Option<u32>,
    /// Bytes of answers that are buffered on its behalf.
    #[serde(default)]
    pub buffered_bytes: u64,
    /// How many it may have.
    pub max_buffered_bytes: Option<u64>,
}

impl Tenants {
    /// A page of at most `most` tenants, out of `views`, which has one more if there is one.
    pub fn page(mut views: Vec<TenantView>, most: usize) -> Self {
        let is_last = views.len() <= most;
        views.truncate(most);
        let next = views.last().filter(|_| !is_last);
        Self {
            next: next.map(|view| view.tenant.to_string()),
            tenants: views.iter().map(Tenant::from).collect(),
        }
    }
}

impl From<&TenantView> for Tenant {
    fn from(view: &TenantView) -> Self {
        Self {
            tenant: view.tenant.to_string(),
            plan: view.plan.to_string(),
            in_flight: view.in_flight,
            max_in_flight: view.max_in_flight,
            connections: view.connections,
            max_connections: view.max_connections,
            buffered_bytes: view.buffered_bytes,
            max_buffered_bytes: Some(view.max_buffered_bytes),
        }
    }
}
