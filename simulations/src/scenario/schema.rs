//! What a scenario file looks like, as a JSON schema for editors.

use schemars::schema_for;
use serde_json::{Value, json};

use super::Scenario;

/// The schema of scenario files. A file that extends another may leave out what that one says, so only what stands in a
/// list has required keys.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schema_for!(Scenario).to_value();
    if let Some(root) = schema.as_object_mut() {
        root.remove("required");
        if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) {
            let text = "A scenario, by the name of its file, that this one is laid over.";
            properties.insert("extends".to_owned(), json!({ "type": "string", "description": text }));
        }
        let Some(parts) = root.get_mut("$defs").and_then(Value::as_object_mut) else { return schema };
        for table in ["People", "Sms", "Links", "PlatformModel", "Couriers"] {
            if let Some(part) = parts.get_mut(table).and_then(Value::as_object_mut) {
                part.remove("required");
            }
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_knows_every_key_and_says_what_it_is() {
        let schema = schema();
        let properties = schema["properties"].as_object().unwrap();
        for key in ["extends", "people", "fault", "expect", "ci"] {
            assert!(properties.contains_key(key), "{key}");
        }
        assert_eq!(schema["additionalProperties"], false, "unknown keys are errors in editors, too");
        assert!(schema["required"].is_null() && schema["$defs"]["People"]["required"].is_null());
        assert!(schema["$defs"]["Fault"]["required"].as_array().unwrap().contains(&json!("kind")));
        assert!(schema["$defs"]["Fault"]["properties"]["for"].to_string().contains("Span"), "as it is written");
        for (table, key) in [("People", "count"), ("Mesh", "circle"), ("Switches", "custody")] {
            assert!(schema["$defs"][table]["properties"][key]["description"].is_string(), "{table}.{key}");
        }
    }
}
