//! A world that is there already, deployed by somebody else: what is read of it, and how probe pods stand in it without
//! joining it.
//!
//! - [`survey`] reads the namespaces and policies and makes of them the scenario that is run ([`read`] does no more than
//!   that); `live` reads them, `guests` finds who would take a probe pod for one of theirs
//! - a probe pod has a controller, an object of the run's own, so no workload adopts it, and a readiness gate that never
//!   opens, so no Service sends it anything
//!
//! Nothing of theirs is ever changed: what the run made is found by its mark and deleted by its UID, like everywhere.

mod guests;
mod live;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use serde_json::{Value, json};

use super::error::{ClusterError, Said};
use super::kinds;
use super::mark::{self, Owner};
use super::options::{Adopt, Options, Selected};
use super::server::{Place, Server};
use crate::fabric::Surveyed;
use crate::scenario::Scenario;
use crate::scenario::adopted::Live;

/// The gate that a probe pod waits at; nobody ever opens it.
const GATE: &str = "leakproof.dev/never";

/// The namespace of a run's own.
pub(super) fn own_namespace(run: &str) -> String {
    format!("leakproof-{run}")
}

/// A probe pod's name where others have names too.
pub(super) fn pod_name(run: &str, endpoint: &str) -> String {
    format!("leakproof-{run}-{endpoint}")
}

/// Reads what is there, makes of it the scenario that is run, and makes sure that its pods can stand there.
pub(super) async fn survey(
    server: &Server,
    options: &Options,
    adopt: &Adopt,
    scenario: &Scenario,
    run: &str,
) -> Result<Surveyed, ClusterError> {
    let (mut found, adopted) = read(server, adopt, scenario, run).await?;
    pull_secrets_there(server, options, &adopted).await?;
    match (guests::find(server, &found.scenario, &adopted).await, adopt.selected) {
        (Ok(guests), Selected::Refused) if !guests.is_empty() => {
            return Err(ClusterError::Selected { what: guests.join("; ") });
        }
        (Ok(guests), Selected::Accepted) => {
            found.remarks.extend(guests.into_iter().map(|guest| format!("accepted by `--even-if-selected`: {guest}")));
        }
        (Ok(_), Selected::Refused) => {}
        (Err(error), Selected::Refused) => return Err(error),
        (Err(error), Selected::Accepted) => {
            found.remarks.push(format!("who else selects the probe pods cannot be told: {error}"));
        }
    }
    Ok(found)
}

/// Reads what is there, and makes of it the scenario that is run. Gives the namespaces that are adopted too.
pub(super) async fn read(
    server: &Server,
    adopt: &Adopt,
    scenario: &Scenario,
    run: &str,
) -> Result<(Surveyed, BTreeSet<String>), ClusterError> {
    let unfit = |source| ClusterError::Unfit { source };
    let adopted = scenario.adoptable(&adopt.makes).map_err(unfit)?;
    let (namespaces, policies, labels) = tokio::join!(
        live::namespaces(server, &adopted),
        live::policies(server, scenario, &adopted),
        live::labels(server, scenario),
    );
    let ((namespaces, mut missing), found, (labels, unlike)) = (namespaces?, policies?, labels?);
    missing.extend(found.missing.into_iter().chain(unlike));
    if !missing.is_empty() {
        if !scenario.names().is_empty() {
            missing
                .push("the scenario's `names:` say which names are outputs: `--pulumi-outputs` gives them".to_owned());
        }
        return Err(ClusterError::NotThere { missing: missing.join("; ") });
    }
    let live = Live { namespaces, labels, policies: found.policies, own: own_namespace(run) };
    let scenario = scenario.adopting(&live).map_err(unfit)?;
    Ok((Surveyed { scenario, remarks: found.remarks }, adopted))
}

/// In namespaces that are somebody else's no secret is made: what images are pulled with must be there.
async fn pull_secrets_there(
    server: &Server,
    options: &Options,
    adopted: &BTreeSet<String>,
) -> Result<(), ClusterError> {
    for secret in &options.pull_secrets {
        for namespace in adopted {
            let place = Place::inside(namespace, &secret.name);
            if server.get(&kinds::secret(), &place).await?.is_none() {
                return Err(ClusterError::Request {
                    verb: "reading",
                    what: format!("Secret {place}"),
                    source: Said::text(
                        "it is not there; with `--adopt` no secret is copied into a namespace of others",
                    ),
                });
            }
        }
    }
    Ok(())
}

/// An object of the run's own that its pods in a namespace belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Controller {
    name: String,
    uid: String,
}

impl Controller {
    /// One that is not made yet.
    pub(super) fn planned(run: &str) -> Self {
        Self { name: own_namespace(run), uid: "(given by the server)".to_owned() }
    }
}

/// Makes one in each of these namespaces. With it the cluster's garbage collection removes the pods too.
pub(super) async fn make_controllers(
    server: &Server,
    run: &str,
    owner: &Owner,
    namespaces: &BTreeSet<String>,
) -> Result<BTreeMap<String, Controller>, ClusterError> {
    let made = join_all(namespaces.iter().map(|namespace| async move {
        let name = own_namespace(run);
        let place = Place::inside(namespace, &name);
        let created = server.create(&kinds::config_map(), &place, &controller(namespace, run, owner)).await?;
        Ok((namespace.clone(), Controller { name, uid: created.metadata.uid.unwrap_or_default() }))
    }));
    made.await.into_iter().collect()
}

fn controller(namespace: &str, run: &str, owner: &Owner) -> Value {
    let mut manifest = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": own_namespace(run), "namespace": namespace },
        "data": { "what": "The probe pods of a leakproof run belong to this; it goes when the run ends." },
    });
    mark::mark(&mut manifest, run, owner);
    manifest
}

/// Has a probe pod stand aside: it has a controller already, and is never ready.
pub(super) fn stand_aside(manifest: &mut Value, controller: &Controller) {
    manifest["metadata"]["ownerReferences"] = json!([ {
        "apiVersion": "v1", "kind": "ConfigMap", "name": controller.name, "uid": controller.uid, "controller": true,
    } ]);
    // A mesh's proxy would take an agent's connections for its own, and answer where a policy denies.
    manifest["metadata"]["annotations"] =
        json!({ "sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled" });
    manifest["spec"]["readinessGates"] = json!([ { "conditionType": GATE } ]);
}
