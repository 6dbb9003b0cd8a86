//! Where a scenario's file and a cluster say different things of what was adopted there.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "drift")]
pub enum Drift {
    /// A field holds something else. What is left out on one side is only on the other.
    Field {
        /// What it is a field of: `policy shop/deny-all`, `namespace shop`.
        object: String,
        /// The way to it in the manifest.
        path: String,
        /// What the file says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<Value>,
        /// What the cluster says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cluster: Option<Value>,
    },
    /// Something in force in the cluster that the file does not name. It was taken into account.
    Extra {
        /// What.
        object: String,
    },
    /// More fields differ than anybody reads one by one.
    More {
        /// Of what.
        object: String,
        /// How many.
        fields: usize,
    },
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field { object, path, file, cluster } => {
                write!(f, "{object}: `{path}` ")?;
                match (file, cluster) {
                    (Some(file), Some(cluster)) => write!(f, "is {file} in the file and {cluster} in the cluster"),
                    (Some(file), None) => write!(f, "is {file} in the file and not there in the cluster"),
                    (None, Some(cluster)) => write!(f, "is not there in the file and {cluster} in the cluster"),
                    (None, None) => f.write_str("is nowhere"),
                }
            }
            Self::Extra { object } => {
                write!(f, "{object}: in force in the cluster and not in the file; it was taken into account")
            }
            Self::More { object, fields } => write!(f, "{object}: {fields} more fields differ"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_is_told_in_plain_words() {
        let field = |file: Option<Value>, cluster: Option<Value>| Drift::Field {
            object: "policy shop/db".into(),
            path: "spec.ingress[0].ports[0].port".into(),
            file,
            cluster,
        };
        let rows = [
            (field(Some(json!(5432)), Some(json!(5433))), "is 5432 in the file and 5433 in the cluster"),
            (field(Some(json!("db")), None), "is \"db\" in the file and not there in the cluster"),
            (field(None, Some(json!({ "a": "b" }))), "is not there in the file and {\"a\":\"b\"} in the cluster"),
            (Drift::Extra { object: "policy shop/deny".into() }, "in force in the cluster and not in the file"),
            (Drift::More { object: "policy shop/db".into(), fields: 3 }, "3 more fields differ"),
        ];
        for (drift, said) in rows {
            assert!(drift.to_string().contains(said), "{drift}");
        }
    }
}
