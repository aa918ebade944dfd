mod bash;
mod edits;

use super::*;

fn scalar(text: &str, name: &str) -> String {
    match Assignments::parse(text).value(name) {
        Ok(Some(Value::Scalar(value))) => value,
        other => panic!("{text:?}: {other:?}"),
    }
}

fn array(text: &str, name: &str) -> Vec<String> {
    match Assignments::parse(text).value(name) {
        Ok(Some(Value::Array(items))) => items,
        other => panic!("{text:?}: {other:?}"),
    }
}

#[test]
fn reads_quoting_as_the_shell_does() {
    assert_eq!(scalar("A=b", "A"), "b");
    assert_eq!(scalar("A=", "A"), "");
    assert_eq!(scalar("  export A=\"a \\\"b\\\" \\x\"'$c'd # x\n", "A"), "a \"b\" \\x$cd");
    assert_eq!(scalar("A=\"a \\\nb\"\nB=1", "A"), "a b");
    assert_eq!(scalar("A=a#b", "A"), "a#b");
    assert_eq!(scalar("A=a\nA+=' b'\nA=\"$A c ${A}\"\n", "A"), "a b c a b");
    assert_eq!(scalar("A=\"a\"\r\n", "A"), "a\r");
}

#[test]
fn reads_arrays_over_several_lines() {
    let text =
        "M=(a # first (\n  'b c' \\\n d?)# no\nM=(x)\nM+=(\"y z\" # )\n)\nM=(0 \"${M[@]}\")\n";
    assert!(Assignments::parse("M=(a)# no\n").value("M").is_err());
    assert_eq!(array(&text.replace(")# no", ") # no"), "M"), ["0", "x", "y z"]);
    assert_eq!(array("M=a\nM+=(b)", "M"), ["a", "b"]);
    assert_eq!(array("M=(a b)\nM+=c", "M"), ["ac", "b"]);
}

#[test]
fn an_opaque_line_matters_only_to_the_variables_it_mentions() {
    let text = "GRUB_DISTRIBUTOR=`( . /etc/os-release; echo ${NAME:-Debian} ) 2>/dev/null || echo Debian`\nGRUB_CMDLINE_LINUX=\"quiet\"\n";
    let file = Assignments::parse(text);
    assert_eq!(scalar(text, "GRUB_CMDLINE_LINUX"), "quiet");
    assert_eq!(file.value("NAME"), Ok(None));
    let error = file.value("GRUB_DISTRIBUTOR").unwrap_err();
    assert_eq!((error.line, error.text.as_str()), (1, text.lines().next().unwrap()));
}

#[test]
fn refuses_what_conditional_text_assigns() {
    for text in [
        "if true; then\n  A=1\nfi\n",
        "true &&\nA=1\n",
        "true && # why\n\nA=1\n",
        "[ x ] || A=1\n",
        "f() {\n A=1\n}\n",
        "f()\n{\nA=1\n}\n",
        "case x in\n a) A=1;;\nesac\n",
        "for A in 1 2; do :; done\n",
        "for i in 1\ndo\nA=1\ndone\n",
        "while false; do\nA=1\ndone\n",
        "(\nA=1\n)\n",
        "{\nA=1\n}\n",
        "true |\nA=1\n",
        "A=1; B=2\n",
        "A=1 B=2\n",
        "A=1 &\n",
        "A=$(echo x)\n",
        "A=\"$B c\"\n",
        "A=$'a'\n",
        "A=~/x\n",
        "A=(*)\n",
        "A=({a,b})\n",
        "A=([1]=x)\n",
        "A[0]=1\n",
        ": ${A:=1}\n",
        ": ${A[0]:=1}\n",
        "unset A\n",
        "read A\n",
        "printf -v A x\n",
        "declare -i A=1\n",
        "((A++))\n",
        "A='x\n",
        "if true\nA=1\n",
        "A=1\nfi\n",
        "A=1\n. /etc/other\n",
        "A=1\nif x; then source /etc/other; fi\n",
        "A=1\nexit\nA=2\n",
        "A=1\nB=x eval \"$C\"\n",
        "cat <<'EOF'\nA=1\nEOF\n",
        "A=1 \0\n",
    ] {
        assert!(Assignments::parse(text).value("A").is_err(), "{text:?}");
    }
}

#[test]
fn goes_on_after_an_opaque_construct() {
    for before in [
        "if [ -n \"$A\" ]; then B=1; fi",
        "cat <<-'E N' > /dev/null\n\tif\n\tE N",
        "B=\"$(echo \"x'\" # \"\n)\"",
        "case $B in (a|b) C=1;; c) ;; esac # \"",
        "f () { B='}'; }",
        "for i in 1 2; do (true) done",
        "echo if case { '('",
        "B=${A#\"}\"} C=1",
        "( exit 3 )",
        "B=`exit 3`",
        "echo a\\\n  A",
        "echo $A ${A} ${#A} \"${A[0]}\" AA A_",
        "cmd >&2 2>&1 &> x | y",
    ] {
        let text = format!("{before}\nA=1\n");
        let mine = if before.ends_with("  A") { "a" } else { "A" };
        if mine == "A" {
            assert_eq!(scalar(&text, "A"), "1", "{before:?}");
        } else {
            assert!(Assignments::parse(&text).value("A").is_err());
        }
    }
}

#[test]
fn a_sequence_of_files_extends_earlier_values() {
    let files = ["X=\"quiet\"\n", "# none\n", "\nX=\"$X iommu=pt\"\n"].map(Assignments::parse);
    let files: Vec<&Assignments> = files.iter().collect();
    let found = evaluate(&files, "X").unwrap().unwrap();
    assert_eq!(found.value, Value::Scalar("quiet iommu=pt".into()));
    assert_eq!((found.file, found.line), (2, 2));
    assert_eq!(evaluate(&files, "Y"), Ok(None));
    let broken = Assignments::parse("X=$(x)");
    assert_eq!(evaluate(&[files[0], &broken], "X").unwrap_err().0, 1);
}
