//! A request touches several scopes: the worst off decides.

use watertight_base::{Percent, Tier};

use super::{Controller, Scope, settings::percent};

/// The share of its limits that a request may use, and who says so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Combined<'a> {
    /// The smallest share of the scopes; 100 % if there are none.
    pub share: Percent,
    /// The scope whose share it is, the first of equals; none if all are at 100 %.
    pub decided_by: Option<&'a Scope>,
}

/// What a request of a tier may use that touches the scopes of `controllers`.
pub fn combined<'a>(tier: Tier, controllers: &[&'a Controller]) -> Combined<'a> {
    let mut least = Combined {
        share: percent(100.0),
        decided_by: None,
    };
    for controller in controllers {
        let share = controller.share(tier);
        if share < least.share {
            least = Combined {
                share,
                decided_by: Some(controller.scope()),
            };
        }
    }
    least
}
