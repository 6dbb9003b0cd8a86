//! The judge, told scripted worlds.

mod clocks;
mod converging;
mod verdict;
mod watched;

use super::script::{Fact, MS, Script, at};
use super::*;
use crate::model::document::Strictness;
use crate::model::finding::{Contradiction, DropsAt};
use crate::model::flow::Flow;
use crate::model::foreign::ForeignPolicy;
use crate::model::observation::{Blindness, Observation, Outcome, Witness};
use crate::model::verdict::DenyForm;
use crate::model::watch::Standing;
use Verdict::{Allowed, Denied};

/// Four pods; `a` may reach `s`, `x` may not, everything else may.
fn pods() -> Script {
    Script::new(&["a", "b", "s", "x"])
}

fn barred(script: &Script) -> impl Fn(&Flow) -> bool + Clone + 'static {
    let (x, s) = (script.end("x"), script.end("s"));
    move |flow: &Flow| flow.source == x && flow.destination == s
}

fn meant(script: &Script) -> impl Fn(&Flow) -> Verdict + 'static {
    let barred = barred(script);
    move |flow| if barred(flow) { Denied } else { Allowed }
}

/// Enforced at 1,100 ms, in the given way.
fn enforced(script: Script, how: Fact) -> Script {
    let barred = barred(&script);
    script.reality(move |flow, launch| if barred(flow) && launch >= at(1100) { how } else { Fact::Arrives })
}

fn judged(script: &Script, judge: &Judge, now: Moment, from: &str, to: &str) -> Judgement {
    judge.verdicts(now).get(script.id(from, to)).unwrap().clone()
}
