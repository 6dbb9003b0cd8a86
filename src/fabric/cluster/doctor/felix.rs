//! What Felix is told: by its environment, else by the datastore. The environment goes first, as Calico's documentation of
//! Felix's configuration says.

use k8s_openapi::api::core::v1::Container;
use serde_json::Value;

use super::versions::Minor;

/// Whether Felix shows its metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fabric::cluster) enum Metrics {
    /// At this port.
    On(u16),
    /// It does not.
    Off,
}

/// Where Felix is told anything.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told<'a> {
    /// The FelixConfiguration `default`.
    pub(super) stored: Option<&'a Value>,
    /// The operator's Installation.
    pub(super) installation: Option<&'a Value>,
    /// The container that Felix runs in.
    pub(super) container: Option<&'a Container>,
}

impl Told<'_> {
    /// The `nftablesMode`, where one is set.
    pub(super) fn nftables_mode(&self) -> Option<&str> {
        self.environment("FELIX_NFTABLESMODE").or_else(|| pointed(self.stored, "/spec/nftablesMode")?.as_str())
    }

    /// How policy is enforced: `iptables`, `nftables`, `eBPF`, in words where it follows from something else.
    pub(super) fn dataplane(&self, proxy: Option<&str>, version: Option<&str>) -> String {
        let operator = pointed(self.installation, "/spec/calicoNetwork/linuxDataplane").and_then(Value::as_str);
        match operator {
            Some("BPF") => return "eBPF".to_owned(),
            Some("Nftables") => return "nftables".to_owned(),
            Some("Iptables") => return "iptables".to_owned(),
            Some(other) => return other.to_owned(),
            None => {}
        }
        let stored = pointed(self.stored, "/spec/bpfEnabled") == Some(&Value::Bool(true));
        if self.environment("FELIX_BPFENABLED").map_or(stored, says_yes) {
            return "eBPF".to_owned();
        }
        // From 3.32 on it is `Auto` where nobody says anything; before, `Disabled`.
        let follows = version.and_then(Minor::of) >= Some(Minor { major: 3, minor: 32 });
        let silent = if follows { "Auto" } else { "Disabled" };
        let mode = self.nftables_mode().unwrap_or(silent);
        if mode.eq_ignore_ascii_case("Enabled") {
            "nftables".to_owned()
        } else if !mode.eq_ignore_ascii_case("Auto") {
            "iptables".to_owned()
        } else if proxy == Some("nftables") {
            "nftables, as kube-proxy is".to_owned()
        } else {
            "iptables, as kube-proxy is".to_owned()
        }
    }

    /// Whether Felix shows its metrics.
    pub(super) fn metrics(&self) -> Metrics {
        let felix_port = pointed(self.stored, "/spec/prometheusMetricsPort").and_then(Value::as_u64);
        let operator_port = pointed(self.installation, "/spec/nodeMetricsPort").and_then(Value::as_u64);
        let stored = pointed(self.stored, "/spec/prometheusMetricsEnabled") == Some(&Value::Bool(true));
        let said = self.environment("FELIX_PROMETHEUSMETRICSENABLED");
        let enabled = said.map_or(stored || operator_port.is_some(), says_yes);
        let told_port = self.environment("FELIX_PROMETHEUSMETRICSPORT").and_then(|port| port.parse().ok());
        let port = told_port.or(operator_port).or(felix_port).and_then(|port| u16::try_from(port).ok());
        if enabled { Metrics::On(port.unwrap_or(9091)) } else { Metrics::Off }
    }

    fn environment(&self, name: &str) -> Option<&str> {
        let all = self.container?.env.as_ref()?;
        // Felix does not tell cases apart.
        all.iter().find(|one| one.name.eq_ignore_ascii_case(name))?.value.as_deref()
    }
}

fn pointed<'a>(object: Option<&'a Value>, path: &str) -> Option<&'a Value> {
    object?.pointer(path)
}

fn says_yes(said: &str) -> bool {
    said.eq_ignore_ascii_case("true")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn container(name: &str, value: &str) -> Container {
        let env = json!([ { "name": name, "value": value } ]);
        serde_json::from_value(json!({ "name": "calico-node", "env": env })).unwrap()
    }

    #[test]
    fn the_dataplane_is_what_the_operator_says_or_felix_is_told() {
        let operator = json!({ "spec": { "calicoNetwork": { "linuxDataplane": "Nftables" } } });
        let felix = |spec: Value| json!({ "spec": spec });
        let (bpf, auto, off) = (
            felix(json!({ "bpfEnabled": true })),
            felix(json!({ "nftablesMode": "Auto" })),
            felix(json!({ "nftablesMode": "Disabled" })),
        );
        let nothing = felix(json!({}));
        let enabled = container("FELIX_NFTABLESMODE", "Enabled");
        let no_bpf = container("FELIX_BPFEnabled", "false");
        let told = Told::default();
        let stored = |stored| Told { stored: Some(stored), ..told };
        let follows = "nftables, as kube-proxy is";
        let rows = [
            (Told { installation: Some(&operator), ..told }, None, "3.31.7", "nftables", "the operator's word"),
            (stored(&bpf), None, "3.31.7", "eBPF", "Felix is told so"),
            (
                Told { container: Some(&no_bpf), ..stored(&bpf) },
                None,
                "3.31.7",
                "iptables",
                "its environment goes first",
            ),
            (stored(&auto), Some("nftables"), "3.31.7", follows, "auto"),
            (stored(&auto), Some("iptables"), "3.31.7", "iptables, as kube-proxy is", "auto"),
            (
                Told { container: Some(&enabled), ..told },
                Some("nftables"),
                "3.31.7",
                "nftables",
                "told by its environment",
            ),
            (Told { container: Some(&enabled), ..stored(&off) }, None, "3.31.7", "nftables", "which goes first"),
            (stored(&nothing), Some("nftables"), "3.31.7", "iptables", "nobody says anything, before 3.32"),
            (stored(&nothing), Some("nftables"), "3.32.0", follows, "nobody says anything, from 3.32 on"),
            (stored(&off), Some("nftables"), "3.32.0", "iptables", "somebody does"),
        ];
        for (told, proxy, version, expected, why) in rows {
            assert_eq!(told.dataplane(proxy, Some(version)), expected, "{why}");
        }
    }

    #[test]
    fn metrics_are_where_the_environment_says_else_the_datastore() {
        let on = json!({ "spec": { "prometheusMetricsEnabled": true, "prometheusMetricsPort": 9191 } });
        let operator = json!({ "spec": { "nodeMetricsPort": 9292 } });
        let said = |said: &str| container("FELIX_PrometheusMetricsEnabled", said);
        let (yes, no, port) = (said("true"), said("false"), container("FELIX_PROMETHEUSMETRICSPORT", "9393"));
        let rows = [
            (None, None, None, Metrics::Off, "nobody says anything"),
            (Some(&on), None, None, Metrics::On(9191), "the datastore says where"),
            (Some(&on), Some(&operator), None, Metrics::On(9292), "the operator is asked first"),
            (None, None, Some(&yes), Metrics::On(9091), "the environment has it on"),
            (Some(&on), None, Some(&no), Metrics::Off, "and off, whatever the datastore says"),
            (Some(&on), None, Some(&port), Metrics::On(9393), "and elsewhere"),
        ];
        for (stored, installation, container, expected, why) in rows {
            assert_eq!(Told { stored, installation, container }.metrics(), expected, "{why}");
        }
    }
}
