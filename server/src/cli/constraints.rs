//! Constraints as people type them: JSON for all there is, a flag for each of the common ones.

use super::error::CliError;
use super::parse;
use crate::proxy::templates::find_provider;
use clap::Args;
use serde_json::{Value, json};
use stipend_token::constraint::{Constraints, Method, PathPattern, Rate};

#[derive(Args, Debug)]
#[command(next_help_heading = "Constraints")]
pub struct ConstraintArgs {
    /// As JSON, e.g. {"methods":["POST"],"paths":["/v1/chat"],"rate":{"count":10,"per_s":60}}; README.md has all of them
    #[arg(long, value_name = "JSON", value_parser = parse::constraints)]
    constraints: Option<Constraints>,
    /// A method that calls may have; may be repeated
    #[arg(long, value_parser = method)]
    method: Vec<Method>,
    /// A path that calls may be for, with all below it by whole segments; may be repeated
    #[arg(long, value_parser = path)]
    path: Vec<PathPattern>,
    /// Most uses in a span of time (10/60s, 1000/1d); may be repeated
    #[arg(long, value_name = "COUNT/TIME", value_parser = parse::rate)]
    rate: Vec<Rate>,
    /// Most uses, ever
    #[arg(long)]
    uses: Option<u32>,
}

fn method(text: &str) -> Result<Method, String> {
    Method::parse(text).map_err(|error| error.to_string())
}

fn path(text: &str) -> Result<PathPattern, String> {
    PathPattern::prefix(text).map_err(|error| error.to_string())
}

impl ConstraintArgs {
    /// What was typed, all of it together; `None` where nothing was.
    pub fn written(&self) -> Result<Option<Constraints>, CliError> {
        let mut set = serde_json::Map::new();
        let mut put = |name: &str, value: Value| set.insert(name.to_owned(), value);
        if !self.method.is_empty() {
            put("methods", json!(self.method));
        }
        if !self.path.is_empty() {
            put("paths", json!(self.path));
        }
        if !self.rate.is_empty() {
            put("rate", json!(self.rate));
        }
        if let Some(uses) = self.uses {
            put("uses", uses.into());
        }
        if set.is_empty() {
            return Ok(self.constraints.clone());
        }
        let flags: Constraints = serde_json::from_value(Value::Object(set)).map_err(unusable)?;
        self.constraints.as_ref().map_or(Ok(flags.clone()), |whole| together(whole, &flags)).map(Some)
    }

    /// The same for a new credential: a flag tightens what its template allows. Only JSON stands
    /// in the template's place, so that `--rate` alone opens no path.
    pub fn of_new(&self, template: Option<&str>) -> Result<Option<Constraints>, CliError> {
        let written = self.written()?;
        match (template.and_then(find_provider), written) {
            (Some(provider), Some(written)) if self.constraints.is_none() => {
                together(&provider.constraints, &written).map(Some)
            }
            (_, written) => Ok(written),
        }
    }
}

fn together(one: &Constraints, other: &Constraints) -> Result<Constraints, CliError> {
    let both = one.tighten(other).map_err(unusable)?;
    if both.deny_all() && !one.deny_all() && !other.deny_all() {
        return Err(CliError::usage("the constraints together admit no call: give all of them as --constraints JSON"));
    }
    Ok(both)
}

fn unusable(error: impl std::fmt::Display) -> CliError {
    CliError::usage(format!("constraints: {error}"))
}

/// For people: the JSON, or nothing where there are none.
pub fn text(constraints: &Constraints) -> String {
    if constraints.is_empty() { String::new() } else { serde_json::to_string(constraints).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        constraints: ConstraintArgs,
    }

    fn read(args: &[&str]) -> ConstraintArgs {
        Line::try_parse_from([&["x"], args].concat()).unwrap_or_else(|error| panic!("{error}")).constraints
    }

    fn written(args: &[&str], template: Option<&str>) -> Value {
        json!(read(args).of_new(template).unwrap())
    }

    #[test]
    fn flags_and_json_count_together() {
        assert_eq!(read(&[]).written().unwrap(), None);
        let flags = ["--method", "POST", "--path", "/v1/chat", "--rate", "10/1m", "--uses", "5"];
        let expected = json!({
            "methods": ["POST"], "paths": ["/v1/chat"], "rate": {"count": 10, "per_s": 60}, "uses": 5,
        });
        assert_eq!(written(&flags, None), expected);
        let both = ["--constraints", r#"{"uses":3,"hosts":["api.example"]}"#, "--uses", "5"];
        assert_eq!(written(&both, None), json!({"uses": 3, "hosts": ["api.example"]}));
        for bad in [&["--method", "post"][..], &["--path", "/a/"], &["--rate", "10"], &["--constraints", "[1]"]] {
            assert!(Line::try_parse_from([&["x"], bad].concat()).is_err(), "{bad:?}");
        }
        assert!(read(&["--uses", "0"]).written().is_err());
    }

    #[test]
    fn a_flag_never_opens_what_the_template_closes() {
        let rated = written(&["--rate", "10/60s"], Some("openai"));
        assert_eq!(rated["methods"], json!(["POST"]), "{rated}");
        assert_eq!(rated["paths"].as_array().unwrap().len(), 4, "{rated}");
        let whole = written(&["--constraints", r#"{"uses":1}"#], Some("openai"));
        assert_eq!(whole, json!({"uses": 1}));
        assert!(read(&["--method", "DELETE"]).of_new(Some("openai")).is_err(), "none is left");
        assert_eq!(read(&[]).of_new(Some("openai")).unwrap(), None, "the server fills in the template's");
    }
}
