//! Compares the sources with ARCHITECTURE.md.
//!
//! A module may use modules of lower layers only, so that no modules form a circle. No file is too long. What the page names
//! exists.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The most lines that a file of `src` may have, without its unit tests.
const LONGEST_FILE: usize = 400;

/// The text of each file by its path, such as `src/pool/mod.rs`.
type Sources = BTreeMap<String, String>;

#[test]
fn each_module_uses_modules_of_lower_layers_only() {
    let found = breaches(&sources(), &layers(&architecture()));
    assert!(found.is_empty(), "ARCHITECTURE.md has the layers:\n{}", found.join("\n"));
}

#[test]
fn no_file_has_more_lines_than_one_subject_needs() {
    let too_long: Vec<String> = sources()
        .iter()
        .map(|(path, text)| (path, without_tests(text).lines().count()))
        .filter(|&(_, lines)| lines > LONGEST_FILE)
        .map(|(path, lines)| format!("{path} has {lines} lines, at most {LONGEST_FILE} are allowed"))
        .collect();
    assert!(too_long.is_empty(), "{}", too_long.join("\n"));
}

#[test]
fn a_circle_is_found_and_both_of_its_files_are_named() {
    let sources = made_up(&[
        ("src/lib.rs", "mod low;\nmod high;\n\npub use high::High;\n"),
        ("src/low.rs", "use crate::high::{self, High};\n"),
        ("src/high/mod.rs", "use crate::{\n    high::part::Part,\n    low::{Low, Lower},\n};\n"),
        ("src/high/part.rs", "use super::High;\n"),
    ]);
    let layers = layers("## Layers\n\n```text\nfirst: low\nsecond: high\n```\n");
    assert_eq!(breaches(&sources, &layers), ["src/low.rs uses src/high/mod.rs, which is in a higher layer"]);
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    let layers = layers("## Layers\n\n```text\nfirst: a, b\nsecond: c\n```\n");
    for text in [
        "use crate::b::B;",
        "use crate::{b, a::A};",
        "use crate::{\n    a::{A, Aa},\n    b::B,\n};",
        "fn f() -> crate::b::B { todo!() }",
        "use crate::B;",
        "use super::b::B;",
        "macro_rules! m { () => { $crate::B } }",
    ] {
        let sources = made_up(&[
            ("src/lib.rs", "mod a;\nmod b;\nmod c;\npub use b::{B, Bb};\n"),
            ("src/a.rs", text),
            ("src/b.rs", ""),
            ("src/c.rs", ""),
        ]);
        let found = breaches(&sources, &layers);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with("src/a.rs uses "), "{text}: {found:?}");
    }
    for text in [
        "//! [`crate::b::B`]",
        "// crate::b::B",
        "#[cfg(test)]\nmod tests {\n    use crate::b::B;\n}\n",
        "#[cfg(test)]\nuse crate::b::B;",
        "const A: &str = \"crate::b::B\";",
    ] {
        let sources = made_up(&[
            ("src/lib.rs", "mod a;\nmod b;\nmod c;\n"),
            ("src/a.rs", text),
            ("src/a/tests.rs", "use crate::c::C;"),
            ("src/b.rs", ""),
            ("src/c.rs", ""),
        ]);
        assert_eq!(breaches(&sources, &layers), [""; 0], "{text}");
    }
}

#[test]
fn a_module_that_is_in_no_layer_is_found() {
    let sources = made_up(&[("src/lib.rs", "mod a;\nmod b;\n"), ("src/a.rs", ""), ("src/b.rs", "")]);
    assert_eq!(breaches(&sources, &layers("## Layers\n\n```text\nonly: a\n```\n")), ["src/b.rs is in no layer"]);
    let found = breaches(&sources, &layers("## Layers\n\n```text\nonly: a, b\nmore: c\n```\n"));
    assert_eq!(found, ["the layers name a module `c`, which does not exist"]);
}

#[test]
fn what_architecture_md_names_is_there() {
    let architecture = architecture();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_of_path = |c: char| c.is_ascii_lowercase() || matches!(c, '_' | '/' | '.');
    let paths = in_backticks(&architecture).filter(|name| name.contains('/') && name.chars().all(is_of_path));
    let missing: Vec<&str> =
        paths.filter(|path| !["", "src", "tests"].iter().any(|folder| root.join(folder).join(path).exists())).collect();
    assert!(missing.is_empty(), "these files do not exist: {missing:?}");

    let mut tests = String::new();
    read_all(&root.join("tests"), &mut tests);
    let rows: Vec<&str> = architecture.lines().filter(|line| number_of(line).is_some()).collect();
    let numbers: Vec<usize> = rows.iter().filter_map(|row| number_of(row)).collect();
    let expected: Vec<usize> = (1..=13).chain(1..=numbers.len().saturating_sub(13)).collect();
    assert_eq!(numbers, expected, "laws and behaviours are counted");
    assert!(numbers.len() >= 13 + 110, "laws or behaviours are missing");
    let named = rows.iter().flat_map(|row| in_backticks(row.rsplit(" | ").next().unwrap_or_default()));
    let missing: Vec<&str> = named
        .filter(|name| !name.ends_with(".rs"))
        .filter(|name| match name.strip_suffix('*') {
            Some(beginning) => !tests.contains(&format!("fn {beginning}")),
            None => !tests.contains(&format!("fn {name}(")),
        })
        .collect();
    assert!(missing.is_empty(), "there are no such tests: {missing:?}");
}

/// The number of a row of the tables of laws and of behaviours.
fn number_of(line: &str) -> Option<usize> {
    line.strip_prefix("| ")?.split(" |").next()?.parse().ok()
}

fn in_backticks(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

fn read_all(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder of the tests") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_all(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).expect("a test file"));
        }
    }
}

fn made_up(files: &[(&str, &str)]) -> Sources {
    files.iter().map(|&(path, text)| (path.to_owned(), text.to_owned())).collect()
}

fn architecture() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).expect("ARCHITECTURE.md")
}

fn sources() -> Sources {
    let mut found = Sources::new();
    read_folder(Path::new(env!("CARGO_MANIFEST_DIR")), "src", &mut found);
    assert!(found.len() > 40, "the sources were not found");
    found
}

fn read_folder(root: &Path, folder: &str, found: &mut Sources) {
    for entry in fs::read_dir(root.join(folder)).expect("a folder of the sources") {
        let entry = entry.expect("an entry");
        let path = format!("{folder}/{}", entry.file_name().to_str().expect("a name in UTF-8"));
        if entry.path().is_dir() {
            read_folder(root, &path, found);
        } else if path.ends_with(".rs") && !is_of_unit_tests(&path) {
            found.insert(path, fs::read_to_string(entry.path()).expect("a source file"));
        }
    }
}

fn is_of_unit_tests(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "properties.rs"))
}

/// The layer of each module, from the block under the heading 'Layers': a line for each layer, the lowest first.
fn layers(architecture: &str) -> BTreeMap<String, usize> {
    let (_, chapter) = architecture.split_once("## Layers\n").expect("a heading 'Layers'");
    let block = chapter.split("```").nth(1).expect("a fenced block under 'Layers'");
    let mut layers = BTreeMap::new();
    for (layer, line) in block.lines().skip(1).enumerate() {
        let (_, modules) = line.split_once(':').expect("a line reads 'name: module, module'");
        for module in modules.split(',') {
            let twice = layers.insert(module.trim().to_owned(), layer);
            assert_eq!(twice, None, "{module} is in two layers");
        }
    }
    layers
}

/// What is not as the layers say.
fn breaches(sources: &Sources, layers: &BTreeMap<String, usize>) -> Vec<String> {
    let root = &sources["src/lib.rs"];
    let exported = exported(root);
    let modules: BTreeSet<&str> = sources.keys().filter_map(|path| module_of(path)).collect();
    let mut found = Vec::new();
    for &module in &modules {
        if !layers.contains_key(module) {
            found.push(format!("{} is in no layer", file_of(module, sources)));
        }
    }
    for module in layers.keys().filter(|module| !modules.contains(module.as_str())) {
        found.push(format!("the layers name a module `{module}`, which does not exist"));
    }
    for (path, text) in sources.iter().filter(|(path, _)| !is_of_unit_tests(path)) {
        let Some(module) = module_of(path) else { continue };
        for name in named_in_the_root(path, text) {
            let used = exported.get(&name).map_or(name.as_str(), String::as_str);
            let (Some(own), Some(other)) = (layers.get(module), layers.get(used)) else {
                if !modules.contains(used) && !exported.contains_key(&name) {
                    found.push(format!("{path} uses crate::{name}, which is no module and not exported"));
                }
                continue;
            };
            if used != module && other >= own {
                let where_it_is = if other == own { "the same" } else { "a higher" };
                found.push(format!("{path} uses {}, which is in {where_it_is} layer", file_of(used, sources)));
            }
        }
    }
    found
}

/// The top-level module that a file belongs to.
fn module_of(path: &str) -> Option<&str> {
    let first = path.strip_prefix("src/")?.split('/').next()?;
    let module = first.strip_suffix(".rs").unwrap_or(first);
    (module != "lib").then_some(module)
}

fn file_of(module: &str, sources: &Sources) -> String {
    let file = format!("src/{module}.rs");
    if sources.contains_key(&file) { file } else { format!("src/{module}/mod.rs") }
}

/// The module of each name that the crate's root exports.
fn exported(root: &str) -> BTreeMap<String, String> {
    let code = code_of(root);
    let mut exported = BTreeMap::new();
    for export in code.split("pub use ").skip(1) {
        let export = export.split(';').next().unwrap_or_default();
        // a name without a path is that of another crate
        let (module, names) = export.split_once("::").unwrap_or((export, export));
        for name in names.split(['{', '}', ',']).map(str::trim).filter(|name| !name.is_empty()) {
            exported.insert(name.to_owned(), module.trim().to_owned());
        }
    }
    exported
}

/// The names in the crate's root that a file begins a path with.
fn named_in_the_root(path: &str, text: &str) -> BTreeSet<String> {
    let code = code_of(text);
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        first_names(rest, &mut found);
    }
    // a chain of `super::` that is as long as the path of the module leads to the root, too
    let depth = path.split('/').filter(|part| *part != "mod.rs").count() - 1;
    let inline = usize::from(code.lines().any(|line| line.trim().starts_with("mod ") && line.trim().ends_with('{')));
    for (index, _) in code.match_indices(&"super::".repeat(depth + inline)) {
        if !code[..index].ends_with("super::") {
            first_names(&code[index + "super::".len() * (depth + inline)..], &mut found);
        }
    }
    found
}

/// The first name of a path, or of each path in braces.
fn first_names(rest: &str, found: &mut BTreeSet<String>) {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = |part: &str| part.trim_start().split(|c| !is_of_name(c)).next().unwrap_or_default().to_owned();
    let Some(group) = rest.strip_prefix('{') else {
        found.insert(name(rest));
        return;
    };
    let (mut depth, mut begins) = (0, 0);
    for (index, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                found.insert(name(&group[begins..index]));
                begins = index + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    found.remove("");
}

/// A file without its unit tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// A file without unit tests, comments, and what stands in strings.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut skips = false;
    for line in without_tests(text).lines() {
        let line: String = line.split("//").next().unwrap_or_default().split('"').step_by(2).collect();
        if line.trim() == "#[cfg(test)]" {
            skips = true;
        } else if skips {
            skips = !line.trim_end().ends_with([';', '}']);
        } else {
            code.push_str(line.trim_end());
            code.push('\n');
        }
    }
    code
}
