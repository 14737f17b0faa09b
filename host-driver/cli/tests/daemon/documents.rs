//! Completions and manual pages: every command has its own.

use crate::harness::{Folder, text};

/// Every command that the help names, with its path.
fn commands(folder: &Folder, path: &[String]) -> Vec<Vec<String>> {
    let args: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    let output = folder.sealnic(&args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{path:?}");
    let help = text(&output.stdout).to_owned();
    let mut all = vec![path.to_vec()];
    let listed = help.split("Commands:\n").nth(1).unwrap_or_default();
    for line in listed.lines().take_while(|line| line.starts_with("  ")) {
        // A description that was wrapped stands further in.
        let Some(name) = line.strip_prefix("  ").filter(|line| !line.starts_with(' ')) else {
            continue;
        };
        let name = name.split_whitespace().next().unwrap().to_owned();
        if name != "help" {
            all.extend(commands(folder, &[path, &[name]].concat()));
        }
    }
    all
}

#[test]
fn every_command_has_a_manual_page_and_is_completed() {
    let folder = Folder::new();
    let commands = commands(&folder, &[]);
    assert!(commands.len() > 40, "{commands:?}");
    let pages = folder.text("man");
    let output = folder.sealnic(&["man", &pages]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for command in &commands {
        let name = [&["sealnic".to_owned()][..], command].concat().join("-");
        let page = std::fs::read_to_string(folder.path("man").join(format!("{name}.1")));
        let page = page.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            page.contains(".SH SYNOPSIS") && page.contains(".SH DESCRIPTION"),
            "{name}"
        );
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = folder.sealnic(&["completions", shell]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{shell}");
        let script = text(&output.stdout);
        for command in &commands {
            assert!(
                command.iter().all(|word| script.contains(word.as_str())),
                "{shell}: {command:?}"
            );
        }
    }
    let output = folder.sealnic(&["completions", "tcsh"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let nowhere = folder.write("file", "");
    let output = folder.sealnic(&["man", &format!("{nowhere}/below")]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
