//! The text of an instance: what it says of itself, one string for each (RFC 6763 section 6).

use hickory_proto::rr::rdata::TXT;
use overlay::Instance;

use crate::dns::limits::{TXT_LENGTH_MAX, TXT_STRING_LENGTH_MAX};

/// The version and the labels, as `key=value`. What is too long for a string is left out, and what comes after too much.
pub(super) fn text(instance: &Instance) -> TXT {
    let version = instance.version.iter().map(|version| format!("version={version}"));
    let labels = instance.labels.iter().filter(|(key, _)| instance.version.is_none() || *key != "version");
    let labels = labels.map(|(key, value)| format!("{key}={value}"));
    let mut length = 0;
    let strings = version.chain(labels).filter(|string| string.len() <= TXT_STRING_LENGTH_MAX);
    let mut strings: Vec<String> = strings
        .take_while(|string| {
            length += 1 + string.len();
            length <= TXT_LENGTH_MAX
        })
        .collect();
    if strings.is_empty() {
        // A record has at least one string, which may be empty.
        strings.push(String::new());
    }
    TXT::new(strings)
}
