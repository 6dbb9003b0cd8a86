//! Runs in the lab.

use std::time::Duration;

use super::Order;
use super::error::Refusal;
use super::ground::Ground;
use super::pipeline::{self, Temper};
use super::stop::Stop;
use crate::fabric::lab::{Fault, Lab};
use crate::model::document::Document;
use crate::model::event::Listener;

/// Everything is on one machine: a reply takes microseconds, an agent milliseconds.
const TEMPER: Temper =
    Temper { deadline: Duration::from_millis(300), patience: Duration::from_secs(15), grace: Duration::from_secs(2) };

/// Runs a scenario in the lab. `show` is given the document once the verdicts are there, before tear-down; `say` what a
/// person is to read meanwhile.
///
/// # Errors
/// Where nothing could be judged: a fault that cannot be carried out, a world that could not be made.
pub async fn in_lab(
    order: &Order<'_>,
    ground: &Ground,
    tell: &dyn Listener,
    stop: &Stop,
    show: &mut (dyn FnMut(&Document) + Send),
    say: &(dyn Fn(&[String]) + Sync),
) -> Result<Document, Refusal> {
    let faults: Result<Vec<Fault>, Refusal> = order
        .faults
        .iter()
        .map(|text| text.parse().map_err(|source| Refusal::Fault { fault: text.clone(), source: Box::new(source) }))
        .collect();
    let lab = Lab::new(ground.lab()?).with_faults(faults?);
    pipeline::run(&lab, TEMPER, order, tell, stop, show, say).await
}

/// What `--fault help` says.
pub fn fault_help() -> &'static str {
    "Faults of the lab. Each makes it wrong in one way, so that you can see that it is noticed; several may be given.\n\
     They begin with the first policies, and @START counts from there. Durations have units: 300ms, 2s.\n\n\
     leak=FROM->TO:PORT/PROTO           the flow passes whatever the policies say           leak, exit 11\n\
     leak-repeats=FROM->TO:PORT/tcp     only repeats of a first packet pass                 leak while watched, by long\n\
     \x20                                                                                    attempts; a run makes none\n\
     cut=FROM->TO:PORT/PROTO            the flow is dropped whatever the policies say       outage, exit 10\n\
     flap=FROM->TO:PORT/PROTO@PERIOD    let through and dropped in turn                     leak or outage, with windows\n\
     late=DURATION                      changes are acknowledged at once, enforced later    time to enforce; exit 11 beyond\n\
     \x20                                                                                    converge_within\n\
     reject                             refusal instead of silence                          a warning (deny: drop: exit 6)\n\
     lose-node=NODE@START+DURATION      the node's rules are gone for a while               leak while watched\n\
     open-moment=NODE@START+DURATION    its packet filter is removed and built again        leak while watched\n\
     late-set=NODE@START+DURATION       its sets of peers are empty for a while             outage while watched\n\
     stop-forwarding=NODE@START+DURATION  it forwards nothing for a while                   outage while watched\n\
     lose-packet=FROM->TO:PORT/PROTO@START  one first packet of the flow is lost            outage while watched\n\
     no-route=FROM->TO@START+DURATION   a pod has no way to another for a while             outage while watched\n\
     late-pod=DURATION                  a pod that is added is cut off for so long          a newborn's wait\n\
     open-pod=DURATION                  a pod that is added is held to no policy so long    a newborn's leak, exit 11\n\
     kill-listener=POD:PORT/PROTO       nothing listens there any more                      inconclusive, exit 6\n\
     kill-agent=POD@START               the pod's agent is killed                           inconclusive, exit 6\n\
     stop-agent=POD@START+DURATION      the pod's agent is stopped for a while              could not see\n\
     cut-stream=POD@START               the control stream to the agent breaks once         nothing: it costs nothing\n\
     wrong-server=TO:PORT/PROTO         somebody else answers there                         wrong server, exit 11\n"
}
