//! Each cell of the fault matrix in README names the tests that prove it, and they are there.

use std::path::Path;

#[test]
fn every_cell_of_the_fault_matrix_has_tests_that_exist() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(folder.join("../README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- faults -->").expect("where the matrix begins");
    let (matrix, _) = rest.split_once("<!-- /faults -->").expect("where it ends");
    let rows: Vec<&str> =
        matrix.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| fault")).collect();
    assert!(rows.len() >= 16, "{} rows", rows.len());
    for row in rows {
        let named: Vec<(&str, &str)> =
            row.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::")).collect();
        assert!(!named.is_empty(), "no test in {row}");
        for (file, test) in named {
            let path = folder.join("..").join(file);
            let source = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{file} is not there: {row}"));
            assert!(source.contains(&format!("fn {test}(")), "{file} has no {test}: {row}");
        }
    }
}
