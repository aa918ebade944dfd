use super::super::*;
use crate::config::EditError;

fn appended(text: &str, name: &str, words: &[&str]) -> String {
    let file = Assignments::parse(text);
    let edited = file.append_words(name, words).unwrap();
    let undone = edited.remove_words(name, words).unwrap();
    assert_eq!(undone.render(), text, "undo");
    edited.render().to_owned()
}

fn items(text: &str, name: &str, words: &[&str]) -> [String; 2] {
    let file = Assignments::parse(text);
    [Assignments::append_items, Assignments::prepend_items].map(|add| {
        let edited = add(&file, name, words).unwrap();
        assert_eq!(add(&edited, name, words).unwrap(), edited);
        assert_eq!(edited.remove_words(name, words).unwrap().render(), text, "undo");
        edited.render().to_owned()
    })
}

#[test]
fn a_single_quoted_or_double_quoted_assignment_is_extended_in_place() {
    assert_eq!(
        appended("# x\nX=\"quiet splash\" # y\nY=1\n", "X", &["a=b", "c"]),
        "# x\nX=\"quiet splash a=b c\" # y\nY=1\n"
    );
    assert_eq!(appended("X='quiet '\n", "X", &["a"]), "X='quiet  a'\n");
    assert_eq!(appended("X=\"\"\n", "X", &["a", "b"]), "X=\"a b\"\n");
    assert_eq!(appended("X=a'b'", "X", &["c"]), "X=a'b c'");
}

#[test]
fn other_assignments_are_extended_by_a_last_line() {
    assert_eq!(appended("X=quiet\n", "X", &["a"]), "X=quiet\nX=\"$X a\"\n");
    assert_eq!(appended("X=\nY=1", "X", &["a"]), "X=\nY=1\nX=\"$X a\"");
    assert_eq!(appended("X='a'\nX+=' b'\n", "X", &["c"]), "X='a'\nX+=' b'\nX=\"$X c\"\n");
    assert_eq!(appended("", "X", &["c"]), "X=\"$X c\"\n");
    assert_eq!(appended("X=\"$X\"\n", "X", &["c"]), "X=\"$X\"\nX=\"$X c\"\n");
}

#[test]
fn words_already_there_are_neither_added_nor_recorded_as_added() {
    let file = Assignments::parse("X=\"a iommu=pt\"\n");
    assert_eq!(file.missing("X", &["iommu=pt", "b", "b"]).unwrap(), ["b"]);
    assert_eq!(
        file.append_words("X", &["iommu=pt", "b", "b"]).unwrap().render(),
        "X=\"a iommu=pt b\"\n"
    );
}

#[test]
fn removal_takes_whole_words_from_every_plain_assignment() {
    let file = Assignments::parse("X=\"ab a b\"\nX+=' a'\nY=\"a\"\n");
    assert_eq!(file.remove_words("X", &["a"]).unwrap().render(), "X=\"ab b\"\nX+=''\nY=\"a\"\n");
}

#[test]
fn arrays_keep_their_layout() {
    let two = ["v", "w"];
    assert_eq!(items("M=()\n", "M", &two), ["M=(v w)\n", "M=(v w)\n"]);
    assert_eq!(items("M=( ) # x\n", "M", &two), ["M=(v w ) # x\n", "M=(v w ) # x\n"]);
    assert_eq!(items("M=( a b )", "M", &two), ["M=( a b v w )", "M=( v w a b )"]);
    assert_eq!(
        items("M=(\n  # one\n  a # A\n  'b c' # B\n)\nN=()\n", "M", &two),
        [
            "M=(\n  # one\n  a # A\n  'b c' v w # B\n)\nN=()\n",
            "M=(\n  # one\n  v w a # A\n  'b c' # B\n)\nN=()\n"
        ]
    );
    assert_eq!(items("M=\"a b\"\n", "M", &two), ["M=\"a b v w\"\n", "M=\"v w a b\"\n"]);
    assert_eq!(items("M=a\n", "M", &two), ["M=a\nM=\"$M v w\"\n", "M=a\nM=\"v w $M\"\n"]);
    assert_eq!(items("# c\n", "M", &two), ["# c\nM+=(v w)\n", "# c\nM=(v w \"${M[@]}\")\n"]);
    assert_eq!(
        items("M=(a)\nM+=(b)", "M", &two),
        ["M=(a)\nM+=(b)\nM+=(v w)", "M=(a)\nM+=(b)\nM=(v w \"${M[@]}\")"]
    );
}

#[test]
fn refuses_words_the_shell_or_grub_would_interpret() {
    let file = Assignments::parse("X=\"a\"\nM=()\n");
    for word in
        ["a b", "a;b", "$a", "a\"", "a'", "a`", "{a", "a|b", "a&b", "<a", "a\\", "", "a\u{0}"]
    {
        let error = file.append_words("X", &[word]).unwrap_err();
        assert!(matches!(error, EditError::UnsafeWord { .. }), "{word}");
    }
    for word in ["(a", "#a", "*", "[0]=a", "~"] {
        assert!(file.append_items("M", &[word]).is_err(), "{word}");
        assert!(file.append_words("M", &[word]).is_err(), "{word}");
    }
}

#[test]
fn refuses_to_edit_what_is_not_understood() {
    for text in [
        "if x; then X=\"a\"; fi\n",
        "X=\"a\"\n[ x ] && X=\"\"\n",
        "X='a'\n'",
        "X='a' \\\n",
        "X='a'\n# c\n\\",
    ] {
        let edited = Assignments::parse(text).append_words("X", &["b"]);
        if let Ok(edited) = edited {
            assert_eq!(edited.value("X").unwrap().unwrap().words(), ["a", "b"], "{text:?}");
        }
    }
    let mixed = Assignments::parse("A=( )\nA='\nx'\n").append_items("A", &["x"]);
    assert!(matches!(mixed, Err(EditError::NotUnderstood(_))));
    let glued = "X=a\nX=\"${X}b\"\n"; // the value is one word, `ab`
    let removal = Assignments::parse(glued).remove_words("X", &["a"]);
    assert_eq!(removal.unwrap().render(), glued);
}
