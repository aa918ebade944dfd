use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Difference, MAX_BYTES, compare, parse, wish};
use crate::check::{Case, Desired};
use crate::document::PlanDocument;
use crate::host::Host;
use crate::host::rom::Probe;
use crate::sys::{Sysroot, host_tree};

fn fresh() -> PlanDocument {
    let tree = host_tree("z490-arch").expect("it is recorded").expect("it is a tree");
    let host = Host::read(&Sysroot::from_tree(tree), Probe::No);
    let desired = Desired { ignore_msrs: true, ..Desired::default() };
    let case = Case::new(&host, &desired);
    let report = crate::check::run(&case);
    let plan = crate::plan::plan(&case, &report).expect("a plan");
    PlanDocument::of(&case, &report, plan)
}

fn written(document: &PlanDocument) -> Value {
    parse(&serde_json::to_vec(document).expect("JSON")).expect("a plan")
}

/// Pointers to everything inside.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    for (key, value) in inner {
        let at = format!("{at}/{key}");
        found.push(at.clone());
        pointers(value, &at, found);
    }
}

#[test]
fn a_plan_is_the_one_that_was_written() {
    let fresh = fresh();
    assert_eq!(compare(&written(&fresh), &fresh), Ok(()));
}

#[test]
fn every_part_counts() {
    let fresh = fresh();
    let original = written(&fresh);
    let mut all = Vec::new();
    pointers(&original, "", &mut all);
    assert!(all.len() > 100);
    for pointer in all {
        for other in [Value::Null, json!("x"), json!(["x"]), json!(7)] {
            let mut altered = original.clone();
            *altered.pointer_mut(&pointer).expect("it is there") = other;
            assert!(altered == original || compare(&altered, &fresh).is_err(), "{pointer}");
        }
    }
    let mut more = original.clone();
    more["run"] = json!("rm");
    assert_eq!(compare(&more, &fresh), Err(Difference::Altered { what: "`run`".to_owned() }));
    let mut fewer = original;
    fewer["changes"].as_array_mut().expect("changes").pop();
    assert!(matches!(compare(&fewer, &fresh), Err(Difference::Altered { .. })));
}

#[test]
fn differences_have_names() {
    let fresh = fresh();
    let with = |pointer: &str, value: Value| {
        let mut document = written(&fresh);
        *document.pointer_mut(pointer).expect(pointer) = value;
        compare(&document, &fresh).expect_err(pointer)
    };
    let first = written(&fresh)["changes"][0]["path"].as_str().expect("a path").to_owned();
    assert_eq!(
        with("/changes/0/before", json!({"state": "absent", "x": 1})),
        Difference::Stale { path: first.clone() }
    );
    assert_eq!(
        with("/changes/0/after/text", json!("x")),
        Difference::Altered { what: format!("the change of {first}") }
    );
    assert_eq!(
        with("/commands/0/argv", json!(["reboot"])),
        Difference::Altered { what: "`commands`".to_owned() }
    );
    for path in [
        "/etc/passwd",
        "etc/default/grub",
        "/etc/default/grub.d/../../passwd",
        "/boot/loader/entries/\u{1b}[2J.conf",
        "relative",
    ] {
        let difference = with("/changes/0/path", json!(path));
        assert!(matches!(difference, Difference::UnknownPath { .. }), "{difference}");
        assert!(!difference.to_string().contains('\u{1b}'));
    }
    let twice = with("/changes/1", written(&fresh)["changes"][0].clone());
    assert_eq!(twice, Difference::NotAPlan(format!("it changes {first} twice")));
    for (pointer, value) in [
        ("/changes", json!({})),
        ("/changes/0", json!(7)),
        ("/schema/version", json!(2)),
        ("/schema/name", json!("check")),
        ("/schema", json!(1)),
    ] {
        assert!(matches!(with(pointer, value), Difference::NotAPlan(_)), "{pointer}");
    }
}

#[test]
fn what_is_no_plan_is_refused() {
    let deep = "[".repeat(100_000);
    let inside = format!("{{\"schema\":{}{}}}", "{\"a\":".repeat(200), "}".repeat(200));
    let large = format!("\"{}\"", "x".repeat(MAX_BYTES));
    for text in
        ["", "{", "7", "[]", "{}", "{\"schema\":{\"name\":\"plan\"}}", &deep, &inside, &large]
    {
        let error = parse(text.as_bytes()).expect_err("no plan");
        assert!(matches!(error, Difference::NotAPlan(_)) && error.to_string().len() < 300);
    }
    assert!(parse(b"\xff\xfe").is_err());
}

#[test]
fn the_wish_is_read_again() {
    let document = written(&fresh());
    let asked = wish(&document).expect("a wish");
    assert_eq!(asked.gpu.as_deref(), Some("0000:07:00.0"));
    assert!(asked.ignore_msrs && asked.allow.is_empty() && asked.identity.is_empty());
    for (key, value) in [
        ("gpu", json!("07:00.0")),
        ("gpu", json!("RX 6600")),
        ("gpu", json!(7)),
        ("ids_in", json!("here")),
        ("ignore_msrs", json!("yes")),
        ("allow", json!(["no-such"])),
        ("allow", json!([7])),
        ("allow", json!("only-gpu")),
    ] {
        let mut wrong = document.clone();
        wrong["wish"][key] = value.clone();
        assert!(matches!(wish(&wrong), Err(Difference::NotAPlan(_))), "{key} {value}");
    }
    let mut none = document;
    none.as_object_mut().expect("an object").remove("wish");
    assert!(wish(&none).expect_err("none").to_string().contains("no `wish`"));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "(/etc/default/grub|plan|\\PC{0,8})".prop_map(Value::from),
    ];
    let key = "(schema|name|version|changes|path|before|wish|gpu|[a-z]{1,3})";
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nothing_makes_it_panic(changes in any_json(), wished in any_json(), other in any_json()) {
        let fresh = fresh();
        let mut document = written(&fresh);
        document["changes"] = changes;
        document["wish"] = wished;
        prop_assert!(compare(&document, &fresh).is_err());
        let _ = wish(&document);
        prop_assert!(compare(&other, &fresh).is_err());
        let _ = wish(&other);
    }
}
