//! Text inside of pictures and pages: names are a configuration's to choose, and never markup.

/// `text` as it stands in XML and HTML, between tags or in quotes.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
