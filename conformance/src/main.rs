//! The command line of the runner. Owns nothing but arguments and printing.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use stipend_conformance::{Profile, claimed, run_only};

/// Black-box conformance checks for OAuth 2.0 token-exchange authorization servers.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The issuer identifier; overrides the profile's.
    #[arg(long)]
    issuer: Option<String>,
    /// How to get clients, resources and one allowed exchange.
    #[arg(long, required_unless_present = "list")]
    profile: Option<PathBuf>,
    /// Sections (T, K, TX) or rows (T3), separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Print the rows claimed, without running any.
    #[arg(long)]
    list: bool,
    /// Accept an issuer on plain HTTP.
    #[arg(long)]
    allow_http: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match execute(Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            let _ = writeln!(std::io::stderr().lock(), "{message}");
            ExitCode::from(2)
        }
    }
}

async fn execute(arguments: Arguments) -> Result<bool, String> {
    if arguments.list {
        let lines = claimed()
            .into_iter()
            .map(|row| format!("{:16} {}  {}: {}\n", row.id, row.level.letter(), row.source, row.title));
        print(&lines.collect::<String>())?;
        return Ok(true);
    }
    let path = arguments.profile.ok_or("--profile is needed")?;
    let mut profile = Profile::load(&path).map_err(|error| error.to_string())?;
    if let Some(issuer) = arguments.issuer {
        profile.issuer.url = issuer;
    }
    profile.validate(arguments.allow_http).map_err(|error| error.to_string())?;
    let report = run_only(profile, &arguments.only).await;
    if arguments.json {
        let json = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
        print(&format!("{json}\n"))?;
    } else {
        print(&report.to_string())?;
    }
    Ok(report.passed())
}

fn print(text: &str) -> Result<(), String> {
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(|error| error.to_string())
}
