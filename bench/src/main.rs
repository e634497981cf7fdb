//! The command line of the load generator, the chaos runner and the measurement of speed. Owns arguments and printing.

mod arguments;

use arguments::{Arguments, Command};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use stipend_bench::load::Load;
use stipend_bench::{BenchError, chaos, compare, floor};
use tikv_jemallocator::Jemalloc;

/// The server's: the floor is to be as fast as it can.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

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
    let tell = |line: &str| {
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    };
    let (report, json) = match &arguments.command {
        Command::Floor(arguments) => {
            let announce = |announced: &floor::Announced| {
                let text = serde_json::to_string(announced).map_err(|error| BenchError::Usage(error.to_string()))?;
                print(&text)
            };
            floor::serve(arguments.listen, arguments.workers, announce).await?;
            return Ok(true);
        }
        Command::Compare(arguments) => {
            let comparison = compare::run(&arguments.options()?, &tell).await?;
            print(&text(&comparison, arguments.json)?)?;
            return Ok(comparison.passed());
        }
        Command::Load(load) => {
            let (options, admin) = load.options()?;
            let mut run = Load::set_up(options, admin).await?;
            let history = run.drive().await;
            (run.conclude(history, Vec::new()).await?, load.json)
        }
        Command::Chaos(chaos) => (chaos::run(chaos.options()?, &tell).await?, chaos.json),
    };
    print(&text(&report, json)?)?;
    Ok(report.passed())
}

fn text(report: &(impl Serialize + Display), json: bool) -> Result<String, BenchError> {
    if json {
        serde_json::to_string_pretty(report).map_err(|error| BenchError::Usage(error.to_string()))
    } else {
        Ok(report.to_string())
    }
}

fn print(text: &str) -> Result<(), BenchError> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.trim_end()).map_err(|error| BenchError::Io { what: "output".to_owned(), error })
}
