//! The layers of docs/architecture.md are those of the source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::harness::project;

/// One row of the table.
struct Layer {
    imports: BTreeSet<String>,
    pure: bool,
}

/// The rows that begin with a module, by its name.
fn table() -> BTreeMap<String, Layer> {
    let page = std::fs::read_to_string(project().join("docs/architecture.md")).unwrap();
    let quoted = |cell: &str| -> BTreeSet<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split('|').collect();
        let module = cells[0].trim().trim_end_matches('`').to_owned();
        let layer = Layer { imports: quoted(cells[1]), pure: cells[2].trim() == "pure" };
        Some((module, layer))
    });
    rows.collect()
}

/// A source file of the library without its tests and comments.
struct Source {
    path: PathBuf,
    /// Module path below the crate root.
    module: Vec<String>,
    text: String,
}

impl Source {
    fn read(path: PathBuf) -> Self {
        let inside = path.strip_prefix(project().join("src")).unwrap().with_extension("");
        let mut module: Vec<String> =
            inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        module.retain(|part| part != "mod");
        let text = without_tests(&std::fs::read_to_string(&path).unwrap());
        Self { path, module, text }
    }

    fn is_test(&self) -> bool {
        self.module.iter().any(|part| part == "tests")
    }

    /// Modules of the crate that it names: by `crate::`, or by enough `super::`.
    fn imports(&self) -> BTreeSet<String> {
        let to_root = "super::".repeat(self.module.len());
        let mut found = names_after(&self.text, "crate::");
        found.extend(names_after(&self.text, &to_root));
        found.retain(|name| name.starts_with(|c: char| c.is_ascii_lowercase()) && name != "super");
        found
    }
}

/// Sources of the modules below the crate root, test files left out.
fn sources() -> Vec<Source> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&project().join("src"), &mut found);
    found.sort();
    let sources = found.into_iter().map(Source::read);
    sources
        .filter(|source| !source.is_test() && !["lib", "main"].contains(&&*source.module[0]))
        .collect()
}

/// Takes out comments, and every item under `#[cfg(test)]`, as rustfmt lays them out.
fn without_tests(text: &str) -> String {
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            out.push_str(line.split("//").next().unwrap_or_default());
            out.push('\n');
            continue;
        }
        let item = lines.next().unwrap_or_default();
        if item.trim_end().ends_with('{') {
            let indent = &item[..item.len() - item.trim_start().len()];
            let end = format!("{indent}}}");
            lines.by_ref().find(|line| *line == end).expect("a test module that ends");
        }
    }
    out
}

/// First names of all paths behind a prefix: `a` and `b` of `crate::{a, b::c}`.
fn names_after(text: &str, prefix: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices(prefix) {
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(word(rest));
            continue;
        };
        let mut depth = 1;
        let mut start = true;
        for (index, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => start = true,
                c if start && !c.is_whitespace() => {
                    found.insert(word(&group[index..]));
                    start = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

#[test]
fn imports_follow_the_table() {
    let table = table();
    let mut wrong = Vec::new();
    for source in sources() {
        let own = &source.module[0];
        let Some(layer) = table.get(own) else {
            wrong.push(format!("{}: `{own}` has no row", source.path.display()));
            continue;
        };
        for import in source.imports() {
            if import != *own && !layer.imports.contains(&import) {
                wrong.push(format!("{}: `{own}` may not import `{import}`", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "not as docs/architecture.md has it:\n{}", wrong.join("\n"));
}

#[test]
fn every_row_is_a_module_and_used() {
    let table = table();
    let sources = sources();
    let modules: BTreeSet<&String> = sources.iter().map(|source| &source.module[0]).collect();
    assert_eq!(table.keys().collect::<BTreeSet<_>>(), modules);
    for (module, layer) in &table {
        let own = sources.iter().filter(|source| source.module[0] == *module);
        let used: BTreeSet<String> = own.flat_map(Source::imports).collect();
        let idle: Vec<&String> = layer.imports.difference(&used).collect();
        assert!(idle.is_empty(), "`{module}` no longer imports {idle:?}");
    }
}

#[test]
fn no_layer_imports_one_above() {
    let table = table();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    while done.len() < table.len() {
        let ready = |(name, layer): &(&String, &Layer)| {
            !done.contains(name.as_str()) && layer.imports.iter().all(|i| done.contains(i.as_str()))
        };
        let next = table.iter().find(ready).map(|(name, _)| name.as_str());
        done.insert(next.expect("the table has a circle"));
    }
}

#[test]
fn pure_modules_touch_nothing() {
    let table = table();
    let pure: BTreeSet<&str> =
        table.iter().filter(|(_, layer)| layer.pure).map(|(name, _)| name.as_str()).collect();
    assert!(pure.is_superset(&BTreeSet::from(["config", "check", "plan", "document"])));
    for source in sources().iter().filter(|source| pure.contains(&*source.module[0])) {
        for name in names_after(&source.text, "std::") {
            assert!(
                !["env", "fs", "io", "net", "process", "thread", "time"].contains(&&*name),
                "{} uses std::{name}",
                source.path.display()
            );
        }
        for word in ["Sysroot", "rustix::"] {
            assert!(!source.text.contains(word), "{} uses {word}", source.path.display());
        }
    }
}

#[test]
fn groups_and_tests_are_understood() {
    let text = "use crate::{a::{x, y}, b, Cc};\nfn f() { crate::d::g() }\n// crate::no\n\
                #[cfg(test)]\nmod tests {\n    use crate::e;\n}\nuse std::{env, fs as f};\n";
    let text = without_tests(text);
    let names = |prefix| names_after(&text, prefix).into_iter().collect::<Vec<_>>();
    assert_eq!(names("crate::"), ["Cc", "a", "b", "d"]);
    assert_eq!(names("std::"), ["env", "fs"]);
}
