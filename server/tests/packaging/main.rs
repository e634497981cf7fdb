//! What is shipped beside the code, held against it: the compose file, the image, the
//! README's table of settings, and the policies on dependencies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod compose;
mod compose_file;
mod dockerfile;
mod policies;
mod readme;

use std::path::{Path, PathBuf};
use stipend::config::{CONFIG_FILE, SETTINGS};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Whether the server reads a variable of this name.
fn is_setting(name: &str) -> bool {
    name == CONFIG_FILE
        || SETTINGS
            .iter()
            .any(|setting| setting.env == name || setting.secret && name.strip_suffix("_FILE") == Some(setting.env))
}
