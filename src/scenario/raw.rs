//! The scenario file as written: every value with its place, nothing resolved.
//!
//! The JSON Schema is made from these types, and [`read`] reads them off the tree. A test holds the two against each
//! other, so that an editor knows exactly the keys that are read.

mod duration;
mod endpoints;
mod known;
mod names;
pub(in crate::scenario) mod port;
pub(in crate::scenario) mod read;

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::civil::Date;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::decode::At;
use super::text::Span;
use super::tree::Node;
use crate::model::endpoint::Family;
use crate::model::finding::Call;
use crate::model::labels::Labels;
use crate::model::port::{Port, ServedPort};
use crate::model::verdict::{DenyForm, Verdict};
use crate::scenario::borrowed::Workload;
use crate::scenario::requirement::Versions;
use crate::scenario::world::ServicePort;

/// A map from names to things, in the order written.
pub(in crate::scenario) type Named<T> = Vec<(At<String>, T)>;

/// A leakproof scenario: some pods, the policies they live under, and which of them may reach which.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::scenario) struct Scenario {
    /// The format's version: 1.
    #[schemars(with = "schema::Version")]
    #[allow(dead_code, reason = "read for its presence; the schema needs it")]
    pub version: (),
    /// What the scenario proves, in a sentence.
    pub about: Option<At<String>>,
    /// The IP families that are probed. Left out: ipv4.
    #[schemars(with = "Option<Vec<schema::Family>>", length(min = 1))]
    pub families: Option<Vec<At<Family>>>,
    /// The namespaces, by name. Each gets the label `kubernetes.io/metadata.name`, as the API server does.
    #[schemars(with = "BTreeMap<String, Namespace>")]
    pub namespaces: Named<Namespace>,
    /// The pods, by name, or by `namespace/name` where pods of two namespaces have one name.
    #[schemars(with = "BTreeMap<String, Pod>")]
    pub pods: Named<Pod>,
    /// Addresses outside the cluster that send or receive, by name. They make cells only with the pods that an
    /// expectation names them with.
    #[schemars(with = "Option<BTreeMap<String, Outside>>")]
    pub outside: Named<Outside>,
    /// Services, by name: addresses that only receive, and pass what they get on to pods. They make cells only with the
    /// pods that an expectation names them with. Not in the lab, which has none.
    #[schemars(with = "Option<BTreeMap<String, Service>>")]
    pub services: Named<Service>,
    /// Which of the names in this file are outputs of a program that deployed it all, such as Pulumi's: the name here, and
    /// the output's. They are taken with `--adopt --pulumi-outputs`; without it the names here hold.
    #[schemars(with = "Option<Names>")]
    pub names: Names,
    /// What the place it is run in must be; elsewhere it is skipped, with the reason.
    #[schemars(with = "Option<Requires>")]
    pub requires: Option<Requires>,
    /// The policies: manifest files, folders of them or patterns such as `policies/*.yaml`, relative to this file's folder;
    /// or manifests written right here.
    #[schemars(with = "Option<Vec<schema::Manifest>>")]
    pub policies: Vec<Manifest>,
    /// What is expected under these policies. Flows that no entry covers are judged by what the policies say.
    #[schemars(with = "Option<Vec<Expect>>")]
    pub expect: Vec<Expect>,
    /// Changes, made one step after the other.
    #[schemars(with = "Option<Vec<Step>>")]
    pub steps: Vec<Step>,
    /// What is known to go wrong: it is reported and does not fail a run.
    #[schemars(with = "Option<Vec<Known>>")]
    pub known: Vec<Known>,
    /// How long one attempt waits for its answer. Left out: 300ms in the lab, 1s on a cluster.
    #[schemars(with = "Option<schema::Duration>")]
    pub deadline: Option<At<std::time::Duration>>,
    /// So many silent attempts make a denial. Left out: 4.
    #[schemars(with = "Option<u32>", range(min = 1, max = 100))]
    pub attempts: Option<At<u32>>,
    /// How often each flow is tried anew. Left out: what fits the number of flows.
    #[schemars(with = "Option<schema::Duration>")]
    pub interval: Option<At<std::time::Duration>>,
    /// Changes must be in force within this. Left out: 10s.
    #[schemars(with = "Option<schema::Duration>")]
    pub converge_within: Option<At<std::time::Duration>>,
    /// A flow that takes longer than this to become as expected is a finding. Left out: no limit but `converge_within`.
    #[schemars(with = "Option<schema::Duration>")]
    pub max_enforce: Option<At<std::time::Duration>>,
    /// In what form a denial has to come. Left out: either.
    #[schemars(with = "Option<schema::DenyForm>")]
    pub deny: Option<At<DenyForm>>,
    #[schemars(skip)]
    pub span: Span,
}

/// A namespace.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::scenario) struct Namespace {
    /// Its labels.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub labels: Labels,
}

/// A pod.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::scenario) struct Pod {
    /// Its namespace, one of `namespaces`. Left out only where the pod's key names it.
    #[schemars(with = "Option<String>")]
    pub namespace: At<String>,
    /// Its labels. Beside `like` they are what holds where no workload can be asked.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub labels: Option<Labels>,
    /// A workload in its namespace whose pods have its labels: with `--on cluster --adopt` they are read from there.
    #[schemars(with = "Option<schema::Workload>")]
    pub like: Option<At<Workload>>,
    /// The ports it serves. Left out: 8080/tcp.
    #[schemars(with = "Option<Vec<schema::ServedPort>>")]
    pub serves: Option<Vec<ServedPort>>,
    /// The node it runs on, counted from 1. Left out: round robin by name over two nodes.
    #[schemars(with = "Option<u8>", range(min = 1, max = 64))]
    pub node: Option<At<u8>>,
    /// Its IPv4 address in the lab. Left out: a planned one.
    #[schemars(with = "Option<std::net::Ipv4Addr>")]
    pub address: Option<At<std::net::Ipv4Addr>>,
    /// Its IPv6 address in the lab. Left out: a planned one.
    #[schemars(with = "Option<std::net::Ipv6Addr>")]
    pub address6: Option<At<std::net::Ipv6Addr>>,
}

/// A Service: an address whose connections are passed on to the pods it selects, one of them each.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::scenario) struct Service {
    /// Its namespace, one of `namespaces`.
    #[schemars(with = "String")]
    pub namespace: At<String>,
    /// The labels that the pods behind it have, in its namespace.
    #[schemars(with = "BTreeMap<String, String>", extend("minProperties" = 1))]
    pub selects: Labels,
    /// Its ports, each with the port of the pods it leads to.
    #[schemars(with = "Vec<schema::ServicePort>", length(min = 1))]
    pub ports: Vec<At<ServicePort>>,
}

/// Which names are outputs.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::scenario) struct Names {
    /// Of namespaces.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub namespaces: Named<At<String>>,
    /// Of policies: `namespace/name`.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub policies: Named<At<String>>,
    /// Of workloads that pods are like: `deployment/name`.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub workloads: Named<At<String>>,
}

/// What the place must be.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::scenario) struct Requires {
    /// A cluster with Calico of these versions.
    #[schemars(with = "schema::Versions")]
    pub calico: At<Versions>,
}

/// An address outside the cluster.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::scenario) struct Outside {
    /// Its IPv4 address. Left out: one of 203.0.113.0/24.
    #[schemars(with = "Option<std::net::Ipv4Addr>")]
    pub address: Option<At<std::net::Ipv4Addr>>,
    /// Its IPv6 address. Left out: one of 2001:db8::/64.
    #[schemars(with = "Option<std::net::Ipv6Addr>")]
    pub address6: Option<At<std::net::Ipv6Addr>>,
    /// The ports it serves. Left out: 8080/tcp.
    #[schemars(with = "Option<Vec<schema::ServedPort>>")]
    pub serves: Option<Vec<ServedPort>>,
}

/// One entry of `policies` or `apply`.
#[derive(Debug)]
pub(in crate::scenario) enum Manifest {
    /// A file of manifests, beside the scenario.
    File(At<String>),
    /// A manifest.
    Inline(Node),
}

/// What is expected of the flows between some endpoints.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::scenario) struct Expect {
    /// Who opens connections.
    #[schemars(with = "schema::Who")]
    pub from: Vec<At<String>>,
    /// To whom.
    #[schemars(with = "schema::Who")]
    pub to: Vec<At<String>>,
    /// To which port. Left out: every port that is probed there. A port that is not under `serves` is listened on too.
    #[schemars(with = "Option<schema::Port>")]
    pub port: Option<At<Port>>,
    /// Over which IP family. Left out: every one of `families`.
    #[schemars(with = "Option<schema::Family>")]
    pub family: Option<At<Family>>,
    /// What is right.
    #[schemars(with = "schema::Verdict")]
    pub verdict: At<Verdict>,
    /// Whether this entry is an exception: it replaces wider entries for the flows it covers. Left out: false, and two
    /// entries that differ on a flow are an error.
    #[schemars(with = "Option<bool>")]
    pub overrides: bool,
    /// Under which versions of Calico it holds, such as `<3.32`: those of the cluster when the run begins. Left out: always.
    #[schemars(with = "Option<schema::Versions>")]
    pub calico: Option<At<Versions>>,
    /// While watched, outages of one of these flows may last so long together. Left out: as `--max-outage` says.
    #[schemars(with = "Option<schema::Duration>")]
    pub max_outage: Option<At<std::time::Duration>>,
    /// While watched, leaks of one of these flows may last so long together. Left out: as `--max-leak` says.
    #[schemars(with = "Option<schema::Duration>")]
    pub max_leak: Option<At<std::time::Duration>>,
    #[schemars(skip)]
    pub span: Span,
}

/// Something that is known to go wrong and is put up with until a day.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::scenario) struct Known {
    /// Who opens connections.
    #[schemars(with = "schema::Who")]
    pub from: Vec<At<String>>,
    /// To whom.
    #[schemars(with = "schema::Who")]
    pub to: Vec<At<String>>,
    /// To which port. Left out: every port that is probed there.
    #[schemars(with = "Option<schema::Port>")]
    pub port: Option<At<Port>>,
    /// What goes wrong.
    #[schemars(with = "schema::Wrong")]
    pub call: At<Call>,
    /// Why it is put up with: an issue's address, or a sentence.
    #[schemars(with = "String")]
    pub reason: At<String>,
    /// The last day on which it is.
    #[schemars(with = "schema::Date")]
    pub until: At<Date>,
    #[schemars(skip)]
    pub span: Span,
}

/// Changes made together, and what is expected then. They are made in this order: pods are removed, labels and policies
/// change (relabel, apply, delete), pods are added. The time to enforce of a flow starts when the last change was sent or
/// when the agents at both its ends run, whichever is later.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::scenario) struct Step {
    /// What changes, in a few words: the step's name in reports. A second step of the same name is called `NAME (2)` there.
    pub about: Option<At<String>>,
    /// Policies that are created, or replaced where there is one of that kind, namespace and name.
    #[schemars(with = "Option<Vec<schema::Manifest>>")]
    pub apply: Vec<Manifest>,
    /// Policies that are deleted: `namespace/name`.
    #[schemars(with = "Option<Vec<String>>")]
    pub delete: Vec<At<String>>,
    /// Labels that change.
    #[schemars(with = "Option<Relabel>")]
    pub relabel: Relabel,
    /// Pods that are added, last of all. A pod that was removed, before or by this step, may be added again under its name.
    #[schemars(with = "Option<BTreeMap<String, Pod>>")]
    pub add: Named<Pod>,
    /// Pods that are removed, first of all.
    #[schemars(with = "Option<Vec<String>>")]
    pub remove: Vec<At<String>>,
    /// What is expected then. Nothing is carried over from before.
    #[schemars(with = "Option<Vec<Expect>>")]
    pub expect: Vec<Expect>,
    /// As for the whole scenario, for this step alone.
    #[schemars(with = "Option<schema::Duration>")]
    pub converge_within: Option<At<std::time::Duration>>,
    /// As for the whole scenario, for this step alone.
    #[schemars(with = "Option<schema::Duration>")]
    pub max_enforce: Option<At<std::time::Duration>>,
    #[schemars(skip)]
    pub span: Span,
}

/// New labels. The labels given are all that is left.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::scenario) struct Relabel {
    /// Of pods, by name.
    #[schemars(with = "Option<BTreeMap<String, BTreeMap<String, String>>>")]
    pub pods: Named<Labels>,
    /// Of namespaces, by name.
    #[schemars(with = "Option<BTreeMap<String, BTreeMap<String, String>>>")]
    pub namespaces: Named<Labels>,
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
    fn inline_schema() -> bool {
        T::inline_schema()
    }
}

/// What the schema says of values that are more than their JSON type.
mod schema {
    use super::*;

    macro_rules! shape {
        ($name:ident, $schema:tt) => {
            pub struct $name;
            impl JsonSchema for $name {
                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }
                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!($schema)
                }
            }
        };
    }

    shape!(Version, { "const": 1 });
    shape!(Family, { "enum": ["ipv4", "ipv6"] });
    shape!(Verdict, { "enum": ["allowed", "denied"] });
    shape!(Wrong, { "enum": ["outage", "leak"] });
    shape!(Date, {
        "description": "A day: 2027-03-31.",
        "type": "string",
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        "examples": ["2027-03-31"],
    });
    shape!(DenyForm, {
        "description": "drop: silence only. reject: a rejection only. either: both will do.",
        "enum": ["drop", "reject", "either"],
    });
    shape!(Duration, {
        "description": "A number with its unit: 300ms, 10s, 1m 30s.",
        "type": "string",
        "examples": ["300ms", "10s"],
    });
    shape!(Port, {
        "description": "A port with its protocol: 5432/tcp.",
        "type": "string",
        "pattern": "^[1-9][0-9]{0,4}/(tcp|udp|sctp)$",
        "examples": ["5432/tcp"],
    });
    shape!(ServedPort, {
        "description": "A port with its protocol, after the name a policy may call it by, where it has one: http=8080/tcp.",
        "type": "string",
        "pattern": "^([a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?=)?[1-9][0-9]{0,4}/(tcp|udp|sctp)$",
        "examples": ["5432/tcp", "http=8080/tcp"],
    });
    shape!(ServicePort, {
        "description": "A port of the Service, and the port of the pods behind it where that is another: 80/tcp -> 8080/tcp.",
        "type": "string",
        "pattern": "^[1-9][0-9]{0,4}/(tcp|udp|sctp)( *-> *[1-9][0-9]{0,4}/(tcp|udp|sctp))?$",
        "examples": ["80/tcp -> 8080/tcp", "5432/tcp"],
    });
    shape!(Workload, {
        "description": "A kind of workload and a name: deployment/data-store.",
        "type": "string",
        "pattern": "^(deployment|statefulset|daemonset|replicaset|job|cronjob|pod)/[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",
        "examples": ["deployment/data-store"],
    });
    shape!(Versions, {
        "description": "Versions of Calico, all of these conditions together: >=3.31, <3.33.",
        "type": "string",
        "examples": [">=3.31, <3.33", "3.32"],
    });
    shape!(Who, {
        "description": "A name, a list of names, or `any`: every pod there is.",
        "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }],
    });
    shape!(Manifest, {
        "description": "A file of manifests, relative to this file, or one manifest.",
        "anyOf": [{ "type": "string" }, { "type": "object", "required": ["apiVersion", "kind"] }],
    });
}
