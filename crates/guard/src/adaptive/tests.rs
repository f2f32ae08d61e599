//! The laws of the adaptive limit, and how it does with a server whose slots are known.

use std::time::Duration;

use watertight_base::{Percent, Tick};

use super::{Gradient, Settings};
use crate::Error;

mod behaviour;
mod laws;
mod plant;
mod storm;
