//! The command line of the load generator and the chaos runner. Owns arguments and printing.

mod arguments;

use arguments::{Arguments, Command};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::Write;
use std::process::ExitCode;
use stipend_bench::load::{Load, Report};
use stipend_bench::{BenchError, chaos};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    raise_limit();
    match execute(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Every request under way is a connection, and a server past its knee keeps thousands waiting.
fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where it can't be raised, connections are refused here and count as not reached.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

async fn execute(arguments: &Arguments) -> Result<bool, BenchError> {
    let (report, json) = match &arguments.command {
        Command::Load(load) => {
            let (options, admin) = load.options()?;
            let mut run = Load::set_up(options, admin).await?;
            let history = run.drive().await;
            (run.conclude(history, Vec::new()).await?, load.json)
        }
        Command::Chaos(chaos) => {
            let tell = |line: &str| {
                let _ = writeln!(std::io::stderr().lock(), "{line}");
            };
            (chaos::run(chaos.options()?, &tell).await?, chaos.json)
        }
    };
    print(&report, json)?;
    Ok(report.passed())
}

fn print(report: &Report, json: bool) -> Result<(), BenchError> {
    let text = if json {
        let text = serde_json::to_string_pretty(report);
        text.map_err(|error| BenchError::Usage(error.to_string()))?
    } else {
        report.to_string()
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.trim_end()).map_err(|error| BenchError::Io { what: "output".to_owned(), error })
}
