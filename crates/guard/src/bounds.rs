//! Settings that lie between two numbers.

use crate::Error;

pub(crate) fn within(
    setting: &'static str,
    given: f64,
    least: f64,
    most: f64,
) -> Result<(), Error> {
    if (least..=most).contains(&given) {
        Ok(())
    } else {
        Err(Error::SettingOutOfBounds {
            setting,
            least,
            most,
            given,
        })
    }
}
