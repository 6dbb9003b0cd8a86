//! The JSON Schema of scenario files, made from the types that mirror them.

use serde_json::{Map, Value};

use super::raw;

/// The schema that `scenarios/scenario.schema.json` holds, so that editors complete and check scenario files.
pub fn schema() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    let mut schema = settings.into_generator().into_root_schema_for::<raw::Scenario>().to_value();
    forbid_null(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), Value::from("leakproof scenario"));
    }
    schema
}

/// A key may be left out; given, it must hold something. The generator takes what may be left out for what may be null.
fn forbid_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            narrow(object);
            object.values_mut().for_each(forbid_null);
        }
        Value::Array(all) => all.iter_mut().for_each(forbid_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn narrow(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(any)) = object.get_mut("anyOf") {
        any.retain(|one| one.get("type") != Some(&Value::from("null")));
        if let [Value::Object(only)] = any.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            object.extend(only);
        }
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::model::document::Strictness;
    use crate::scenario::load_str;

    #[test]
    fn the_schema_that_is_checked_in_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/scenario.schema.json");
        let expected = snapbox::Data::read_from(path.as_ref(), Some(snapbox::data::DataFormat::Text)).raw();
        let printed = serde_json::to_string_pretty(&schema()).unwrap();
        snapbox::Assert::new()
            .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
            .eq(snapbox::Data::text(format!("{printed}\n")), expected);
    }

    /// The keys that the decoder says it knows, where it is given one that it does not.
    fn known(text: &str) -> BTreeSet<String> {
        let refusal = load_str(text, Strictness::Normal).unwrap_err();
        let unknown = refusal.diagnostics.iter().find(|d| d.message.contains("has no key `zzzzzzzzzzzzzzzzzzzz`"));
        let help = &unknown.unwrap_or_else(|| panic!("{text} gave {refusal:?}")).help[0];
        let list = help.strip_prefix("known here: ").unwrap_or_else(|| panic!("{help}"));
        list.split(", ").map(|key| key.trim_matches('`').to_owned()).collect()
    }

    #[test]
    fn the_schema_has_exactly_the_keys_that_are_read() {
        let schema = schema();
        let mut objects: BTreeMap<&str, &Value> = BTreeMap::from([("Scenario", &schema)]);
        objects.extend(schema["$defs"].as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value)));
        objects.retain(|_, value| value.get("properties").is_some());

        let z = "zzzzzzzzzzzzzzzzzzzz";
        let places = BTreeMap::from([
            ("Scenario", format!("{z}: 1")),
            ("Namespace", format!("namespaces: {{ a: {{ {z}: 1 }} }}")),
            ("Pod", format!("pods: {{ a: {{ {z}: 1 }} }}")),
            ("Service", format!("services: {{ a: {{ {z}: 1 }} }}")),
            ("Names", format!("names: {{ {z}: 1 }}")),
            ("Requires", format!("requires: {{ {z}: 1 }}")),
            ("Outside", format!("outside: {{ a: {{ {z}: 1 }} }}")),
            ("Known", format!("known: [ {{ {z}: 1 }} ]")),
            ("Expect", format!("expect: [ {{ {z}: 1 }} ]")),
            ("Step", format!("steps: [ {{ {z}: 1 }} ]")),
            ("Relabel", format!("steps: [ {{ relabel: {{ {z}: 1 }} }} ]")),
        ]);
        assert_eq!(objects.keys().collect::<Vec<_>>(), places.keys().collect::<Vec<_>>(), "every kind of map is tried");
        for (name, text) in places {
            let properties = objects[name]["properties"].as_object().unwrap();
            assert_eq!(properties.keys().cloned().collect::<BTreeSet<_>>(), known(&text), "{name}");
            assert_eq!(objects[name]["additionalProperties"], false, "{name} takes no other key");
            let required = objects[name].get("required").and_then(Value::as_array);
            for key in required.into_iter().flatten().filter_map(Value::as_str) {
                let refusal = load_str(&text, Strictness::Normal).unwrap_err();
                let missing = format!("has no `{key}`");
                let said = refusal.diagnostics.iter().any(|d| d.message.contains(&missing));
                assert!(said, "{name}: `{key}` is required by the schema and not by the decoder");
            }
        }
    }

    #[test]
    fn nothing_may_be_null() {
        assert!(!schema().to_string().contains("\"null\""));
    }
}
