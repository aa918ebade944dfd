//! Lists of modules to load: modules-load.d(5), /etc/modules,
//! /etc/initramfs-tools/modules.
//!
//! Arguments after a name are used by initramfs-tools only.

/// One line that names a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedModule {
    /// The name as spelt.
    pub name: String,
    /// Arguments after the name.
    pub arguments: Vec<String>,
    /// Line number, from 1.
    pub line: usize,
}

impl ListedModule {
    /// Whether this names the module; `-` and `_` are the same.
    pub fn is(&self, module: &str) -> bool {
        self.name.replace('-', "_") == module.replace('-', "_")
    }
}

/// Reads all names; lines that begin with `#` or `;` are comments. The rest of a
/// line after a word that begins with `#` is taken as one too: no parameter starts so.
pub fn parse(text: &str) -> Vec<ListedModule> {
    let mut modules = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let mut words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
        if let Some(name) = words.next().filter(|_| !line.starts_with(';')) {
            modules.push(ListedModule {
                name: name.to_owned(),
                arguments: words.map(str::to_owned).collect(),
                line: index + 1,
            });
        }
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_arguments_are_read_and_comments_skipped() {
        let modules =
            parse("# vfio\n; vfio\n\n vfio-pci ids=1:2  disable_vga=1 # why\r\nkvm#\n#\n");
        assert_eq!(modules.len(), 2);
        assert!(modules[0].is("vfio_pci") && !modules[0].is("vfio"));
        assert_eq!(modules[0].arguments, ["ids=1:2", "disable_vga=1"]);
        assert_eq!((modules[0].line, modules[1].line), (4, 5));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_text_is_read(text in "(?s).{0,80}") {
            let _ = parse(&text);
        }
    }
}
