//! Real bash decides what a file means.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "the oracle is a process")]

use std::io::Write;
use std::process::Command;

use proptest::prelude::*;

use super::super::*;

const NAMES: [&str; 3] = ["A", "B", "LONG_1"];

const SCRIPT: &str = r#"
FUNCNEST=5; file=$1; cd "$2" || exit; shift 2
source "$file" >/dev/null 2>&1 </dev/null
exec 3>&1
for name in A B LONG_1 last__; do
  declare -p "$name" 2>/dev/null >&3; printf '\0'
  declare -n ref=$name
  printf '%d\0' "${#ref[@]}"; for item in "${ref[@]}"; do printf '%s\0' "$item"; done
  unset -n ref
done
"#;

/// What bash holds in each of `NAMES`, or `None` if it did not reach the end.
fn bash(text: &str) -> Option<Vec<Option<Value>>> {
    let directory = tempfile::tempdir().unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(format!("{text}\nlast__=1\n").as_bytes()).unwrap();
    let output = Command::new("bash")
        .args(["--norc", "--noprofile", "-c", SCRIPT, "bash"])
        .args([file.path(), directory.path()])
        .env_clear()
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut fields = text.split('\0');
    let mut values = Vec::new();
    for _ in 0..=NAMES.len() {
        let declared = fields.next()?;
        let flags = declared.split(' ').nth(1).filter(|_| declared.contains('='));
        let flags = flags.unwrap_or("");
        let count = fields.next()?.parse::<usize>().ok()?;
        let items: Vec<String> = fields.by_ref().take(count).map(str::to_owned).collect();
        values.push(match flags {
            "" => None,
            flags if flags.contains('a') => Some(Value::Array(items)),
            _ => Some(Value::Scalar(items.into_iter().next().unwrap_or_default())),
        });
    }
    values.pop()?.map(|_| values)
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(NAMES.to_vec())
}

fn piece(name: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9.,:=+-]{0,6}".prop_map(|w| format!("x{w}")),
        "[a-z #;&(){}*~-]{0,8}".prop_map(|w| format!("\"{w}\"")),
        "[a-z \"\\\\$`#\n-]{0,8}".prop_map(|w| format!("'{w}'")),
        Just(format!("\"${name} y\"")),
        Just(format!("${{{name}}}")),
        Just("\"a \\\n b\\$c\\\"\\q\"".to_owned()),
        Just("\\ \\$z\\\n".to_owned()),
    ]
}

fn item(name: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![
        5 => "[a-z0-9_.,:=+-]{1,6}\\??",
        1 => "[a-z #]{0,5}".prop_map(|w| format!("'{w}'z\"{w}\"")),
        1 => Just(format!("\"${{{name}[@]}}\"")),
        1 => Just(format!("${{{name}[@]}}")),
    ]
}

fn ending() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", " ", " # it's \"a (comment", "\t#"])
}

fn statement() -> impl Strategy<Value = String> {
    let scalar = (name(), ending(), prop::sample::select(vec!["=", "=", "+="]), any::<bool>())
        .prop_flat_map(|(name, ending, op, export)| {
            let export = if export { "export " } else { "" };
            prop::collection::vec(piece(name), 0..4)
                .prop_map(move |p| format!("{export}{name}{op}{}{ending}\n", p.concat()))
        });
    let array = (name(), ending(), prop::sample::select(vec!["=", "+="])).prop_flat_map(
        |(name, ending, op)| {
            let gap = prop::sample::select(vec![" ", " ", "\n  ", " # it's )\n", " \\\n"]);
            prop::collection::vec((gap, item(name)), 0..4).prop_map(move |items| {
                let inside: String = items.iter().map(|(g, i)| format!("{g}{i}")).collect();
                format!("{name}{op}({inside} ){ending}\n")
            })
        },
    );
    let noise = prop::sample::select(vec![
        "\n",
        "# A=\"no\n",
        "D=`( . /etc/os-release; echo ${A:-x} ) 2>/dev/null || echo y`\n",
        "if true; then\n  D=1 # fi\nfi\n",
        "if false; then\n  A=1\nfi\n",
        "f() {\n  D=\"}\"\n}\n",
        "case x in\n  (y) D=1;;\n  *) D=\"$B\";;\nesac\n",
        "cat <<E >/dev/null\nif '\nE\n",
        "D=\"$A ${B}\"\n",
        "true ||\nB=9\n",
        "export LONG_1\n",
        "[ -n \"$A\" ] && D=2\n",
    ])
    .prop_map(str::to_owned);
    prop_oneof![4 => scalar, 2 => array, 2 => noise]
}

fn file() -> impl Strategy<Value = String> {
    prop::collection::vec(statement(), 0..7).prop_map(|s| s.concat())
}

fn soup() -> impl Strategy<Value = String> {
    let tokens = "A= A+= B= A=( ) a ' \" \\ # ( ) $A $ ${A} ${A ${ } if then fi ; && || | { } true \
        false case in esac do done for ` $( <<E E ! $' export [@] ? A A=1 :; ; ; x= \
        source eval . return < =";
    let mut tokens: Vec<String> = tokens.split_whitespace().map(str::to_owned).collect();
    tokens.extend(
        [" ", "\n", " ", "\n", " ", "\nA=1\n", "\n", "\nE\n", "\n}\n", "\nfi\n"].map(str::to_owned),
    );
    let token = (prop::sample::select(tokens), prop::sample::select(vec!["", " ", " ", "\n"]))
        .prop_map(|(token, gap)| token + gap);
    prop::collection::vec(token, 0..14).prop_map(|t| t.concat())
}

fn agrees(text: &str) -> Result<usize, TestCaseError> {
    let file = Assignments::parse(text);
    prop_assert_eq!(file.render(), text);
    let Some(real) = bash(text) else { return Ok(0) };
    let mut understood = 0;
    for (name, real) in NAMES.iter().zip(real) {
        if let Ok(value) = file.value(name) {
            prop_assert_eq!(value, real, "{} in {:?}", name, text);
            understood += 1;
        }
    }
    Ok(understood)
}

fn words(value: Option<&Value>) -> Vec<String> {
    value.map_or_else(Vec::new, |v| v.words().into_iter().map(str::to_owned).collect())
}

/// The properties of every edit, with bash as the judge of its effect.
fn edit_is_right(text: &str, name: &str, new: &[&str], mode: usize) -> Result<(), TestCaseError> {
    let file = Assignments::parse(text);
    let edit = |file: &Assignments| match mode {
        0 => file.append_words(name, new),
        1 => file.append_items(name, new),
        _ => file.prepend_items(name, new),
    };
    let Ok(edited) = edit(&file) else {
        return Ok(());
    };
    let missing = file.missing(name, new).unwrap();
    prop_assert_eq!(&edit(&edited).unwrap(), &edited, "not idempotent");
    let back: Vec<&str> = missing.iter().map(String::as_str).collect();
    let undone = edited.remove_words(name, &back).unwrap();
    prop_assert_eq!(undone.render(), text, "undo of {:?}", edited.render());
    let (Some(old), Some(now)) = (bash(text), bash(edited.render())) else {
        return Ok(());
    };
    for ((each, old), now) in NAMES.iter().zip(old).zip(now) {
        if *each == name {
            let old = words(old.as_ref());
            let (front, back) = if mode == 2 { (&missing, &old) } else { (&old, &missing) };
            let expected: Vec<String> = front.iter().chain(back).cloned().collect();
            prop_assert_eq!(words(now.as_ref()), expected, "{:?}", edited.render());
        } else {
            prop_assert_eq!(old, now, "{} changed", each);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..Default::default() })]

    #[test]
    fn values_are_what_bash_says(text in file()) {
        agrees(&text)?;
    }

    #[test]
    fn nonsense_is_refused_or_read_as_bash_does(text in soup()) {
        agrees(&text)?;
    }

    #[test]
    fn edits_do_what_they_say(
        text in file(), last in "(# end)?", name in name(), mode in 0..3usize,
        new in prop::collection::vec(prop::sample::select(vec!["vfio_pci", "a=b,c", "x", "iommu=pt"]), 0..3),
    ) {
        edit_is_right(&format!("{text}{last}"), name, &new, mode)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_text_is_kept(text in "(?s).{0,80}") {
        let file = Assignments::parse(&text);
        prop_assert_eq!(file.render(), &text);
        let _ = (file.value("A"), file.append_words("A", &["x"]));
    }

    #[test]
    fn any_shell_like_text_is_kept(text in soup()) {
        let file = Assignments::parse(&text);
        prop_assert_eq!(file.render(), &text);
        let _ = (file.append_items("A", &["x"]), file.remove_words("A", &["a", "1"]));
    }
}
