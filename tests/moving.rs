//! The page about moving from `mysql_async` names every public method of the driver's version that is locked.

use std::{fs, path::PathBuf, process::Command};

/// Where the methods are: a file of the driver, the beginning of a block, and the name that the page gives it.
const BLOCKS: &[(&str, &str, &str)] = &[
    ("conn/pool/mod.rs", "\nimpl Pool {", "Pool"),
    ("conn/mod.rs", "\nimpl Conn {", "Conn"),
    ("queryable/mod.rs", "\npub trait Queryable: Send {", "Queryable"),
    ("queryable/transaction.rs", "\nimpl<'a> Transaction<'a> {", "Transaction"),
    (
        "queryable/query_result/mod.rs",
        "\nimpl<'a, 't: 'a, P> QueryResult<'a, 't, P>\nwhere\n    P: Protocol,\n{",
        "QueryResult",
    ),
    ("query.rs", "\npub trait Query: Send + Sized {", "Query"),
];

#[test]
fn the_page_names_every_method_of_the_driver() {
    let page =
        fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/docs/moving.rs")).expect("the page");
    let driver = driver();
    let mut methods = Vec::new();
    for (file, beginning, name) in BLOCKS {
        let text = fs::read_to_string(driver.join("src").join(file)).expect("a file of the driver");
        let of_block = methods_of(&text, beginning);
        assert!(!of_block.is_empty(), "{file} has no block that begins with {beginning:?}: has the driver changed?");
        methods.extend(of_block.into_iter().map(|method| format!("{name}::{method}")));
    }
    let missing: Vec<&String> = methods.iter().filter(|method| !is_named(&page, method)).collect();
    assert!(missing.is_empty(), "src/docs/moving.rs does not say what these are here: {missing:?}");
    let named = rows(&page).flat_map(|row| row.split('`').skip(1).step_by(2));
    let named = named.filter(|item| BLOCKS.iter().any(|(_, _, name)| item.starts_with(&format!("{name}::"))));
    let gone: Vec<&str> = named.filter(|item| !methods.iter().any(|method| method == item)).collect();
    assert!(gone.is_empty(), "the driver does not have these: {gone:?}");
}

/// In a row of the table; `.._and_drop` methods are in that of the method before.
fn is_named(page: &str, method: &str) -> bool {
    let name = method.strip_suffix("_and_drop").unwrap_or(method);
    rows(page).any(|row| row.contains(&format!("`{name}`")))
}

/// Of its tables.
fn rows(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter(|line| line.starts_with("//! | "))
}

/// The public methods of the blocks that begin so, or all methods of a trait.
fn methods_of(text: &str, beginning: &str) -> Vec<String> {
    let is_trait = beginning.contains("trait");
    let blocks = text.match_indices(beginning).map(|(at, _)| {
        let block = &text[at + beginning.len()..];
        &block[..block.find("\n}").expect("the end of a block")]
    });
    let lines = blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix("    "));
    lines
        .filter_map(|line| if is_trait { Some(line) } else { line.strip_prefix("pub ") })
        .map(|line| line.trim_start_matches("async "))
        .filter_map(|line| line.strip_prefix("fn "))
        .map(|rest| rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect())
        .collect()
}

/// The folder of the driver's sources.
fn driver() -> PathBuf {
    let version = Command::new("rustc").arg("-vV").output().expect("rustc");
    let version = String::from_utf8_lossy(&version.stdout);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("a platform");
    // what other platforms need was never fetched
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", host, "--manifest-path"])
        .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .expect("cargo");
    let told = String::from_utf8_lossy(&output.stdout);
    let manifest = told
        .split("\"manifest_path\":\"")
        .filter_map(|rest| rest.split('"').next())
        .find(|path| path.contains("/mysql_async-") && path.ends_with("/Cargo.toml"));
    let manifest = manifest
        .unwrap_or_else(|| panic!("cargo does not know the driver: {}", String::from_utf8_lossy(&output.stderr)));
    PathBuf::from(manifest).parent().expect("a folder").to_owned()
}
