//! The OpenAPI 3.1 document of the API, made from the table of routes.

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    answer::TEXT,
    problem::Problem,
    routes::{Answer, Method, ROUTES, Route, Shape},
};

/// The OpenAPI document.
pub fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut schemas = settings.into_generator();
    let problem = schemas.subschema_for::<Problem>();
    let mut paths = Map::new();
    for route in &ROUTES {
        let method = match route.method {
            Method::Get => "get",
            Method::Post => "post",
            Method::Delete => "delete",
        };
        let operation = operation(route, method, &mut schemas);
        let item = paths.entry(route.path).or_insert_with(|| json!({}));
        item[method] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Watertight",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The admin API of a node. Fields are added over time and never renamed; \
                            units come last in names.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:7070" }],
        // Whether a node asks for a token is up to its configuration.
        "security": [{}, { "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "responses": {
                "Problem": {
                    "description": "What is wrong, and what to do (RFC 9457).",
                    "content": { (Problem::CONTENT_TYPE): { "schema": problem } },
                },
            },
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(route: &Route, method: &str, schemas: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    responses.insert("200".to_owned(), answer(&route.answer, schemas));
    if matches!(route.answer, Answer::Health) {
        let text = json!({ "schema": { "type": "string" } });
        let not = json!({ "description": "It is not so.", "content": { TEXT: text } });
        responses.insert("503".to_owned(), not);
    }
    for (status, what) in route.problems {
        let content = json!({
            Problem::CONTENT_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } },
        });
        let problem = json!({ "description": what, "content": content });
        responses.insert(status.to_string(), problem);
    }
    let default = json!({ "$ref": "#/components/responses/Problem" });
    responses.insert("default".to_owned(), default);
    let name = route.path.trim_start_matches('/').replace(['/', '.'], "-");
    let mut parameters = parameters(route.query);
    parameters.extend(in_path(route.path));
    let mut operation = json!({
        "operationId": format!("{method}-{}", name.replace(['{', '}'], "")),
        "summary": route.summary,
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(body) = route.body {
        let content = json!({ "application/json": { "schema": body(schemas) } });
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    if route.is_open {
        operation["security"] = json!([{}]);
    }
    operation
}

fn answer(answer: &Answer, schemas: &mut SchemaGenerator) -> Value {
    let (kind, schema) = match answer {
        Answer::Json(shape) => ("application/json", json!(shape(schemas))),
        Answer::Document => ("application/json", json!({ "type": "object" })),
        Answer::Text(kind) => (*kind, json!({ "type": "string" })),
        Answer::Health => (TEXT, json!({ "type": "string" })),
    };
    json!({ "description": "What was asked for.", "content": { kind: { "schema": schema } } })
}

/// What is named in a path.
fn in_path(path: &str) -> impl Iterator<Item = Value> {
    let names = path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?;
        name.strip_suffix('}')
    });
    names.map(|name| {
        json!({
            "name": name,
            "in": "path",
            "required": true,
            "description": format!("The name of the {name}."),
            "schema": { "type": "string" },
        })
    })
}

/// The fields of a query as parameters.
fn parameters(query: Shape) -> Vec<Value> {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    let mut settings = settings.with(|settings| settings.inline_subschemas = true);
    settings.meta_schema = None;
    let schema = json!(query(&mut settings.into_generator()));
    let required = |name: &String| {
        let names = schema["required"].as_array();
        names.is_some_and(|names| names.contains(&json!(name)))
    };
    let fields = schema["properties"].as_object();
    let parameter = |(name, field): (&String, &Value)| {
        let mut field = field.clone();
        if let Some(kinds) = field["type"].as_array_mut() {
            // What need not be given is left out; it is never `null`.
            kinds.retain(|kind| kind != "null");
            field["type"] = kinds.first().cloned().unwrap_or_default();
        }
        let description = field
            .as_object_mut()
            .and_then(|field| field.remove("description"));
        json!({
            "name": name,
            "in": "query",
            "required": required(name),
            "description": description,
            "schema": field,
        })
    };
    fields.into_iter().flatten().map(parameter).collect()
}
