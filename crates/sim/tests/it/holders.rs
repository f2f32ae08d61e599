//! Who holds a lease, with the cores of heartbeat unchanged: contenders, the store of the record, and
//! what the lease guards, in every weather; and the checker over parties with a bug planted.

mod laws;
mod party;
mod planted;
