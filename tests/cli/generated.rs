//! Lists that have to agree, and generated pages that have to be fresh.

use std::collections::BTreeSet;

use serde_json::Value;

use super::harness::{passthru, project};

fn read(path: &str) -> String {
    std::fs::read_to_string(project().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Names of the files in a directory that end so, without the end.
fn files(dir: &str, end: &str) -> Vec<String> {
    let entries = std::fs::read_dir(project().join(dir)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(end)?.to_owned())).collect();
    names.sort();
    names
}

/// The string literals at the beginning of lines, behind a heading line.
fn literals(text: &str, heading: &str) -> Vec<String> {
    let list = text.split_once(heading).unwrap_or_else(|| panic!("no {heading}")).1;
    let lines = list.lines().take_while(|line| !line.starts_with([')', '}', ']']));
    let first = |line: &str| Some(line.trim().strip_prefix('"')?.split_once('"')?.0.to_owned());
    lines.filter_map(first).collect()
}

#[test]
fn findings_pages_and_checks_agree() {
    let pages = files("docs/findings", ".md");
    assert_eq!(literals(&read("src/check/pages.rs"), "pages!["), pages);
    let mut checks = literals(&read("src/check/mod.rs"), "\nchecks! {");
    checks.extend(literals(&read("src/vm/check.rs"), "\nchecks! {"));
    let unique: BTreeSet<&String> = checks.iter().collect();
    assert_eq!(unique.len(), checks.len(), "a code stands twice in CHECKS");
    assert_eq!(unique.into_iter().collect::<Vec<_>>(), pages.iter().collect::<Vec<_>>());
    let listed = passthru(&["explain"]).stdout;
    let listed: Vec<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(listed, pages);
}

#[test]
fn every_page_has_a_title_that_a_list_can_show() {
    for code in files("docs/findings", ".md") {
        let page = read(&format!("docs/findings/{code}.md"));
        let title = page.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or("");
        assert!((8..90).contains(&title.len()), "{code}: {title:?}");
        assert!(!title.ends_with('.'), "{code}: {title:?}");
        assert_eq!(passthru(&["explain", &code]).stdout, page);
    }
}

#[test]
fn shipped_hosts_are_those_in_the_directory() {
    assert_eq!(literals(&read("src/sys/hosts.in"), "hosts!("), files("hosts", ".tree"));
}

#[test]
fn every_asset_begins_with_the_mark() {
    let config = read("src/config/mod.rs");
    let mark = config.split_once("MARK: &str = \"").and_then(|(_, rest)| rest.split_once('"'));
    let (mark, _) = mark.expect("a mark");
    let assets = files("src/plan/assets", "");
    assert!(!assets.is_empty());
    for name in assets {
        let text = read(&format!("src/plan/assets/{name}"));
        let mut lines = text.lines();
        let first = lines.next().unwrap_or("");
        let marked = if first.starts_with("#!") { lines.next().unwrap_or("") } else { first };
        assert_eq!(marked, mark, "{name}");
    }
}

#[test]
fn command_line_page_is_fresh() {
    let page = read("docs/cli.md");
    let (mut named, mut listed) = (vec!["passthru".to_owned()], BTreeSet::new());
    for section in page.split("\n## ").skip(1) {
        let (name, rest) = section.split_once('\n').unwrap();
        let text = rest.split_once("```text\n").unwrap().1.trim_end().trim_end_matches("```");
        let mut args: Vec<&str> = name.split(' ').skip(1).collect();
        args.push("--help");
        let help = passthru(&args).stdout;
        let help: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), help, "run `cargo xtask generate`");
        listed.insert(name.to_owned());
        let Some((_, verbs)) = text.split_once("Commands:\n") else { continue };
        let verbs = verbs.lines().take_while(|line| !line.is_empty());
        let verbs = verbs.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        let verbs = verbs.filter(|verb| !["", "help"].contains(verb));
        named.extend(verbs.map(|verb| format!("{name} {verb}")));
    }
    named.sort();
    assert_eq!(listed.into_iter().collect::<Vec<_>>(), named);
}

/// True to the schema, as far as the generated ones go; an unknown keyword is a failure.
fn conform(value: &Value, schema: &Value, root: &Value, at: &str) -> Result<(), String> {
    let Some(rules) = schema.as_object() else {
        return if schema == &Value::Bool(true) { Ok(()) } else { Err(at.to_owned()) };
    };
    for (keyword, rule) in rules {
        let holds = match keyword.as_str() {
            "$defs" | "$schema" | "title" | "description" | "format" | "default" => true,
            "$ref" => {
                let target = rule.as_str().and_then(|path| path.strip_prefix('#')).unwrap();
                conform(value, root.pointer(target).unwrap(), root, at)?;
                true
            }
            "type" => match rule {
                Value::Array(types) => types.iter().any(|one| is(value, one)),
                one => is(value, one),
            },
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|n| n >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|n| n <= rule.as_f64().unwrap()),
            "pattern" => {
                let pattern = regex_lite::Regex::new(rule.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "anyOf" | "oneOf" => {
                rule.as_array().unwrap().iter().any(|one| conform(value, one, root, at).is_ok())
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    conform(item, rule, root, &format!("{at}/{index}"))?;
                }
                true
            }
            "required" => {
                let has = |key: &Value| value.get(key.as_str().unwrap()).is_some();
                !value.is_object() || rule.as_array().unwrap().iter().all(has)
            }
            "properties" => {
                for (key, inner) in value.as_object().into_iter().flatten() {
                    let known = rule.get(key).ok_or(format!("{at}/{key} is not in the schema"))?;
                    conform(inner, known, root, &format!("{at}/{key}"))?;
                }
                true
            }
            "additionalProperties" => true,
            other => panic!("a keyword that this test does not know: {other}"),
        };
        if !holds {
            return Err(format!("{at}: {keyword} {rule} does not hold for {value}"));
        }
    }
    Ok(())
}

fn is(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other}"),
    }
}

#[test]
fn documents_are_as_their_schemas_say() {
    let mut seen = BTreeSet::new();
    for host in files("hosts", ".tree") {
        for verb in ["inspect", "check", "plan"] {
            let document = passthru(&["--host", &host, "--json", verb]).json();
            let name = document["schema"]["name"].as_str().unwrap().to_owned();
            let schema: Value = serde_json::from_str(&read(&format!("docs/schema/{name}.json")))
                .expect("a generated schema is JSON");
            if let Err(problem) = conform(&document, &schema, &schema, &name) {
                panic!("{host} {verb}: {problem}");
            }
            seen.insert(name);
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["check", "inspect", "plan"]);
}

/// The session in the README is what the program says, lines left out where it says so.
#[test]
fn the_session_in_the_readme_is_real() {
    let readme = read("README.md");
    let session = readme.split_once("```text\n").unwrap().1.split_once("```").unwrap().0;
    let output = passthru(&["--host", "z490-arch", "plan"]).stdout;
    let mut lines = output.lines();
    let mut left_out = false;
    for line in session.lines() {
        if line.trim() == "[…]" {
            left_out = true;
            continue;
        }
        let next = lines.by_ref().position(|said| said == line);
        let next = next.unwrap_or_else(|| panic!("the program does not say {line:?}"));
        assert!(next == 0 || left_out, "something is left out before {line:?}");
        left_out = line.is_empty() && left_out;
    }
}
