//! The configuration that setup writes: the commented sample, with what the
//! address asks for put in.

use std::fmt::Write as _;

use crate::config::Address;

const SAMPLE: &str = include_str!("../../../packaging/approver.toml");

/// The sample; with an address, reachable there from other machines.
pub(super) fn configured(address: Option<&Address>) -> String {
    let Some(address) = address else {
        return SAMPLE.to_owned();
    };
    // All addresses of the family in which the machine is named; a name is looked
    // up, and IPv4 is what it leads to nearly everywhere.
    let any = if address.host().contains(':') {
        "[::]"
    } else {
        "0.0.0.0"
    };
    let mut table = "";
    let mut text = String::new();
    for line in SAMPLE.lines() {
        if line.starts_with('[') {
            table = line;
        }
        match (table, line.split_once(" = ")) {
            ("", Some(("listen", _))) => {
                let _ = write!(text, "listen = \"{any}:{}\"", address.port());
            }
            ("", Some(("address", _))) => {
                let _ = write!(text, "address = \"{address}\"");
            }
            ("[web]", Some(("listen", value))) => {
                let port = value.trim_matches('"').rsplit_once(':').map(|at| at.1);
                let _ = write!(text, "listen = \"{any}:{}\"", port.unwrap_or("7444"));
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Config;

    fn parsed(address: &str) -> Config {
        let text = configured(Some(&address.parse().unwrap()));
        assert_eq!(text.lines().count(), SAMPLE.lines().count());
        Config::parse(&text, Path::new("approver.toml")).unwrap()
    }

    #[test]
    fn an_address_opens_the_ports() {
        let config = parsed("https://approver.example:8443");
        assert_eq!(config.listen.to_string(), "0.0.0.0:8443");
        assert_eq!(config.address.to_string(), "https://approver.example:8443");
        assert_eq!(
            parsed("https://[2001:db8::1]").listen.to_string(),
            "[::]:7443"
        );
    }

    #[test]
    fn without_an_address_it_is_the_sample() {
        assert_eq!(configured(None), SAMPLE);
    }
}
