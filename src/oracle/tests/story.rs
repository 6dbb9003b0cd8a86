//! Stories as people read them. Written out in full: a story is a promise in words, and a change of it should be seen.

use snapbox::{assert_data_eq, str};

use super::build::{Lab, block, both, namespaces, np, pods, rule, unknown};
use crate::model::explanation::lines::tell;
use crate::model::prediction::Direction::{Egress, Ingress};
use crate::oracle::explain;
use crate::policy::Policy;

/// The pipeline of the main job, with somebody outside.
fn pipeline(policies: Vec<Policy>) -> Lab {
    Lab::new()
        .namespace("ai-data-pipeline", "")
        .namespace("ai-staging", "team=ml")
        .pod("ai-data-pipeline/ai-processing", "role=ai-processing", "metrics=9090/tcp")
        .pod("ai-data-pipeline/data-store", "role=data-store", "sql=5432/tcp,53/udp")
        .pod("ai-data-pipeline/intruder", "role=intruder,tier=web", "8080/tcp")
        .pod("ai-staging/impostor", "role=ai-processing", "8080/tcp")
        .pod("ai-staging/plain", "", "8080/tcp")
        .outside("office", "203.0.113.7", "443/tcp")
        .under(policies)
}

fn main_policy() -> Policy {
    np("ai-data-pipeline/allow-ai-processing-to-data-store", "role=data-store")
        .types(&[Ingress])
        .ingress(vec![rule().from(vec![pods("role=ai-processing")])])
        .make()
}

fn story(mut lab: Lab, from: &str, to: &str, at: &str) -> String {
    let flow = lab.flow(from, to, at);
    let explanation = explain(&lab.world, &flow, |id| lab.name(id).rsplit('/').next().unwrap().to_owned());
    let json = serde_json::to_string(&explanation).unwrap();
    let back: crate::model::explanation::Explanation = serde_json::from_str(&json).unwrap();
    assert_eq!(back, explanation, "a story survives being written down");
    tell(&explanation).iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn an_intruder_is_told_which_label_it_lacks() {
    let told =
        story(pipeline(vec![main_policy()]), "ai-data-pipeline/intruder", "ai-data-pipeline/data-store", "5432/tcp");
    assert_data_eq!(
        told,
        str![[r#"
intruder -> data-store:5432/tcp is denied
  from  intruder, a pod in ai-data-pipeline with role=intruder,tier=web, at 10.0.0.3
  to    data-store, a pod in ai-data-pipeline with role=data-store, at 10.0.0.2

leaving intruder: allowed
  No policy selects intruder for egress, so it may connect to anybody.

  Without a say here:
    ai-data-pipeline/allow-ai-processing-to-data-store does not select it: wants role=data-store, but intruder has role=intruder

entering data-store: denied
  1 policy isolates data-store for ingress; no rule lets this flow through.

  ai-data-pipeline/allow-ai-processing-to-data-store selects data-store by role=data-store
    ✗ ingress[0] does not match
      ✗ from[0] takes pods with role=ai-processing in ai-data-pipeline, the policy's own namespace
        wants role=ai-processing, but intruder has role=intruder
      ✓ no `ports`: every port of every protocol

"#]]
    );
}

#[test]
fn an_impostor_is_told_of_its_namespace() {
    let told = story(pipeline(vec![main_policy()]), "ai-staging/impostor", "ai-data-pipeline/data-store", "5432/tcp");
    assert_data_eq!(
        told,
        str![[r#"
impostor -> data-store:5432/tcp is denied
  from  impostor, a pod in ai-staging with role=ai-processing, at 10.0.0.4
  to    data-store, a pod in ai-data-pipeline with role=data-store, at 10.0.0.2

leaving impostor: allowed
  No policy selects impostor for egress, so it may connect to anybody.

  Without a say here:
    1 policy of another namespace cannot select it

entering data-store: denied
  1 policy isolates data-store for ingress; no rule lets this flow through.

  ai-data-pipeline/allow-ai-processing-to-data-store selects data-store by role=data-store
    ✗ ingress[0] does not match
      ✗ from[0] takes pods with role=ai-processing in ai-data-pipeline, the policy's own namespace
        wants namespace ai-data-pipeline, but impostor is in namespace ai-staging
      ✓ no `ports`: every port of every protocol

  A podSelector alone means pods of the policy's own namespace; a namespaceSelector in the same entry would name others.

"#]]
    );
}

#[test]
fn what_is_allowed_names_what_allowed_it() {
    let told = story(
        pipeline(vec![main_policy()]),
        "ai-data-pipeline/ai-processing",
        "ai-data-pipeline/data-store",
        "5432/tcp",
    );
    assert_data_eq!(
        told,
        str![[r#"
ai-processing -> data-store:5432/tcp is allowed
  from  ai-processing, a pod in ai-data-pipeline with role=ai-processing, at 10.0.0.1
  to    data-store, a pod in ai-data-pipeline with role=data-store, at 10.0.0.2

leaving ai-processing: allowed
  No policy selects ai-processing for egress, so it may connect to anybody.

  Without a say here:
    ai-data-pipeline/allow-ai-processing-to-data-store does not select it: wants role=data-store, but ai-processing has role=ai-processing

entering data-store: allowed
  1 policy isolates data-store for ingress; it gets through by ai-data-pipeline/allow-ai-processing-to-data-store ingress[0].from[0].

  ai-data-pipeline/allow-ai-processing-to-data-store selects data-store by role=data-store
    ✓ ingress[0] lets it through
      ✓ from[0] takes pods with role=ai-processing in ai-data-pipeline, the policy's own namespace
      ✓ no `ports`: every port of every protocol

"#]]
    );
}

#[test]
fn both_sides_and_every_sort_of_condition() {
    let policies = vec![
        np("ai-data-pipeline/data-store", "role in (data-store,cache); !debug")
            .ingress(vec![
                rule()
                    .from(vec![both("team in (ml,ops)", "role not in (intruder,probe)"), namespaces("team=web")])
                    .at(&["sql", "53/udp"]),
                rule().from(vec![block("10.0.0.0/24", &["10.0.0.3/32", "10.0.0.4/31"])]).at(&["6000-6010/tcp"]),
                rule().from(vec![]).at(&["9000"]),
            ])
            .make(),
        np("ai-data-pipeline/deny-egress", "tier=web").types(&[Egress]).make(),
        np("ai-data-pipeline/egress-of-others", "role=other").types(&[Egress]).make(),
        np("ai-data-pipeline/ingress-only", "").types(&[Ingress]).egress(vec![rule(), rule()]).make(),
        np("ai-staging/far-away", "").make(),
    ];
    let told = story(pipeline(policies), "ai-data-pipeline/intruder", "ai-data-pipeline/data-store", "5432/tcp");
    assert_data_eq!(
        told,
        str![[r#"
intruder -> data-store:5432/tcp is denied
  from  intruder, a pod in ai-data-pipeline with role=intruder,tier=web, at 10.0.0.3
  to    data-store, a pod in ai-data-pipeline with role=data-store, at 10.0.0.2

leaving intruder: denied
  1 policy isolates intruder for egress; no rule lets this flow through.

  ai-data-pipeline/deny-egress selects intruder by tier=web
    ✗ it has no egress rule, so it lets nothing through

  Without a say here:
    ai-data-pipeline/data-store does not select it: wants role in (data-store, cache), but intruder has role=intruder
    ai-data-pipeline/egress-of-others does not select it: wants role=other, but intruder has role=intruder
    ai-data-pipeline/ingress-only selects it too, but its policyTypes do not list Egress, so its 2 egress rules are without effect
    1 policy of another namespace cannot select it

entering data-store: denied
  2 policies isolate data-store for ingress; no rule lets this flow through.

  ai-data-pipeline/data-store selects data-store by role in (data-store, cache), no label debug
    ✗ ingress[0] does not match
      ✗ from[0] takes pods with role not in (intruder, probe) in namespaces with team in (ml, ops)
        wants a namespace with team in (ml, ops), but the namespace of intruder, ai-data-pipeline, has no label team
        wants role not in (intruder, probe), but intruder has role=intruder
      ✗ from[1] takes every pod in namespaces with team=web
        wants a namespace with team=web, but the namespace of intruder, ai-data-pipeline, has no label team
      ✓ ports[0] takes the tcp port named `sql`
        this flow goes to port 5432; `sql` is 5432/tcp there
      ✗ ports[1] takes 53/udp
        wants udp, but this flow is tcp
        wants port 53, but this flow goes to port 5432
    ✗ ingress[1] does not match
      ✗ from[0] takes addresses in 10.0.0.0/24 except 10.0.0.3/32, 10.0.0.4/31
        wants an address not in 10.0.0.3/32, but intruder has 10.0.0.3
      ✗ ports[0] takes 6000-6010/tcp
        wants a port from 6000 to 6010, but this flow goes to port 5432
    ✗ ingress[2] does not match
      ✓ `from` is empty: any peer, inside the cluster and outside
      ✗ ports[0] takes 9000/tcp
        wants port 9000, but this flow goes to port 5432

  ai-data-pipeline/ingress-only selects every pod of ai-data-pipeline
    ✗ it has no ingress rule, so it lets nothing through

  Closest is ai-data-pipeline/data-store ingress[0].from[1] ports[0]: it wants a namespace with team=web, but the namespace of intruder, ai-data-pipeline, has no label team.

  Without a say here:
    ai-data-pipeline/deny-egress does not select it: wants tier=web, but data-store has no label tier
    ai-data-pipeline/egress-of-others does not select it: wants role=other, but data-store has role=data-store
    1 policy of another namespace cannot select it

"#]]
    );
}

#[test]
fn an_outsider_matches_blocks_only() {
    let policies = vec![
        np("ai-data-pipeline/data-store", "role=data-store")
            .ingress(vec![rule().from(vec![namespaces(""), block("203.0.113.0/24", &[])]).at(&["metrics", "5432/tcp"])])
            .make(),
    ];
    let told = story(pipeline(policies), "office", "ai-data-pipeline/data-store", "5432/tcp");
    assert_data_eq!(
        told,
        str![[r#"
office -> data-store:5432/tcp is allowed
  from  office, outside the cluster, at 203.0.113.7
  to    data-store, a pod in ai-data-pipeline with role=data-store, at 10.0.0.2

leaving office: allowed
  office is no pod, so no policy selects it, and this side lets everything through.

entering data-store: allowed
  1 policy isolates data-store for ingress; it gets through by ai-data-pipeline/data-store ingress[0].from[1] ports[1].

  ai-data-pipeline/data-store selects data-store by role=data-store
    ✓ ingress[0] lets it through
      ✗ from[0] takes every pod in every namespace
        wants a pod, but office is an address outside the cluster
      ✓ from[1] takes addresses in 203.0.113.0/24
        office has 203.0.113.7
      ✗ ports[0] takes the tcp port named `metrics`
        wants the tcp port that data-store names `metrics`, but this flow goes to port 5432; data-store has no port named `metrics`
      ✓ ports[1] takes 5432/tcp

"#]]
    );
}

#[test]
fn a_kind_nobody_knows_leaves_it_open() {
    let policies = vec![main_policy(), unknown("CiliumNetworkPolicy", Some("ai-data-pipeline"), "l7")];
    let told = story(pipeline(policies), "ai-staging/plain", "ai-data-pipeline/data-store", "80/udp");
    assert_data_eq!(
        told,
        str![[r#"
whether plain -> data-store:80/udp is allowed cannot be told
  from  plain, a pod in ai-staging without labels, at 10.0.0.5
  to    data-store, a pod in ai-data-pipeline with role=data-store, at 10.0.0.2

leaving plain: allowed
  No policy selects plain for egress, so it may connect to anybody.

  Without a say here:
    1 policy of another namespace cannot select it

entering data-store: cannot be told
  Could be touched by CiliumNetworkPolicy ai-data-pipeline/l7, of a kind whose meaning is not known here.
  By NetworkPolicies alone: 1 policy isolates data-store for ingress, as follows.

  ai-data-pipeline/allow-ai-processing-to-data-store selects data-store by role=data-store
    ✗ ingress[0] does not match
      ✗ from[0] takes pods with role=ai-processing in ai-data-pipeline, the policy's own namespace
        wants namespace ai-data-pipeline, but plain is in namespace ai-staging
        wants role=ai-processing, but plain has no label role
      ✓ no `ports`: every port of every protocol

"#]]
    );
}
