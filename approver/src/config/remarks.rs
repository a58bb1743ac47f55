//! What is right about a configuration but may not be what was meant.
//!
//! Looks at the configuration alone: never at files, ports or the network.

use super::{Config, Tls};

/// More pending requests of one host than people ever look at.
const PENDING_MANY: u32 = 100_000;

impl Config {
    /// Remarks for the operator, each one sentence.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let host = self.address.host();
        if self.listen.ip().is_loopback() {
            remarks.push(format!(
                "listen = {:?}: only this machine can reach the approver; other hosts need \
                 \"0.0.0.0:{}\" or an address of theirs",
                self.listen.to_string(),
                self.listen.port()
            ));
        } else if matches!(host, "localhost" | "127.0.0.1" | "::1") {
            remarks.push(format!(
                "address = \"{}\": enrolment tokens would send other hosts to themselves; say the \
                 name they reach this machine by",
                self.address
            ));
        }
        if self.web.listen.ip().is_loopback() && !self.web.behind_proxy {
            remarks.push(format!(
                "web.listen = {:?}: only browsers of this machine can reach the dashboard",
                self.web.listen.to_string()
            ));
        }
        match (self.web.tls, self.web.behind_proxy) {
            (Tls::Off, true) if !self.web.listen.ip().is_loopback() => remarks.push(format!(
                "web.tls = \"off\" on {}: whoever reaches it beside the proxy reads passwords; \
                 close it to all others",
                self.web.listen
            )),
            (Tls::Own, false) => remarks.push(
                "web.tls = \"own\": browsers trust the dashboard once they trust ca.pem of the \
                 state directory"
                    .to_owned(),
            ),
            _ => {}
        }
        if self.metrics.enabled && !self.metrics.listen.ip().is_loopback() {
            remarks.push(format!(
                "metrics.listen = {:?}: everybody who reaches it can read the metrics; there is no \
                 login",
                self.metrics.listen.to_string()
            ));
        }
        if self.limits.pending_per_host.get() > PENDING_MANY {
            remarks.push(format!(
                "limits.pending_per_host = {}: one host can fill the queue of all reviewers",
                self.limits.pending_per_host
            ));
        }
        remarks
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn remarks(text: &str) -> String {
        let config = Config::parse(text, Path::new("approver.toml")).unwrap();
        config.remarks().join("\n")
    }

    #[test]
    fn what_may_not_be_meant_is_said() {
        let defaults = remarks("");
        assert!(defaults.contains("only this machine can reach the approver"));
        assert!(defaults.contains("only browsers of this machine"));
        let open =
            remarks("listen = \"0.0.0.0:7443\"\n[metrics]\nenabled = true\nlisten = \"0.0.0.0:1\"");
        assert!(open.contains("send other hosts to themselves"), "{open}");
        assert!(open.contains("can read the metrics"), "{open}");
        let proxied = remarks("[web]\nlisten = \"0.0.0.0:80\"\ntls = \"off\"\nbehind_proxy = true");
        assert!(proxied.contains("beside the proxy"), "{proxied}");
        let good = remarks(
            "listen = \"0.0.0.0:7443\"\naddress = \"https://a.example\"\n\
             [web]\ntls = \"off\"\nbehind_proxy = true",
        );
        assert_eq!(good, "");
    }
}
