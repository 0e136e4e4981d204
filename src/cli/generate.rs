//! Man pages and completion scripts, generated from the options.

use std::io;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::Cli;
use super::help::SECTIONS;

/// The commands that have a page of their own.
pub(crate) const COMMANDS: &[&str] = if cfg!(feature = "serve") {
    &["bench", "cache", "check", "completions", "eval", "man", "merge", "plan", "serve", "status"]
} else {
    &["bench", "cache", "check", "completions", "eval", "man", "merge", "plan", "status"]
};

/// The man page of the program, or of one of its commands.
///
/// # Errors
/// If the page can't be written to memory, which does not happen.
pub fn man_page(command: Option<&str>) -> io::Result<Vec<u8>> {
    let mut program = Cli::command();
    program.build();
    let named = command.and_then(|name| program.find_subcommand(name));
    let man = Man::new(named.unwrap_or(&program).clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    // Words are not hyphenated and lines not justified, so that examples can be copied.
    page.extend_from_slice(b".nh\n.ad l\n");
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if named.is_none() {
        man.render_subcommands_section(&mut page)?;
        page.append(&mut sections()?);
        man.render_version_section(&mut page)?;
    }
    Ok(page)
}

fn sections() -> io::Result<Vec<u8>> {
    let mut roff = Roff::new();
    for (heading, lines) in SECTIONS {
        roff.control("SH", [heading.to_uppercase().as_str()]);
        let mut is_verbatim = false;
        for line in lines.lines() {
            let indented = line.strip_prefix("  ");
            match (indented.is_some(), is_verbatim) {
                (true, false) => {
                    roff.control("RS", ["4"]);
                    roff.control("nf", []);
                }
                (false, true) => {
                    roff.control("fi", []);
                    roff.control("RE", []);
                    roff.control("PP", []);
                }
                _ => {}
            }
            is_verbatim = indented.is_some();
            roff.text([roman(indented.unwrap_or(line))]);
        }
        if is_verbatim {
            roff.control("fi", []);
            roff.control("RE", []);
        }
    }
    let mut text = Vec::new();
    roff.to_writer(&mut text)?;
    Ok(text)
}

/// A shell's completion script. Hidden options are for developers, and not completed.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    let program = Cli::command();
    let commands = COMMANDS.iter().filter_map(|name| Some(visible(name, program.find_subcommand(name)?)));
    let mut shown = visible("rerank", &program).version(env!("CARGO_PKG_VERSION")).subcommands(commands);
    clap_complete::generate(shell, &mut shown, "rerank", &mut script);
    script
}

/// A command with the options that are shown. Conflicts between options are left out: they may name hidden
/// options, and shells have no use for them.
fn visible(name: &'static str, command: &Command) -> Command {
    let options = command.get_arguments().filter(|argument| !argument.is_hide_set()).cloned();
    Command::new(name).about(command.get_about().cloned().unwrap_or_default()).args(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_and_script_can_be_made() {
        for command in [None, Some("bench"), Some("check"), Some("man"), Some("completions")] {
            assert!(man_page(command).unwrap().starts_with(b".ie"), "{command:?}");
        }
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let script = String::from_utf8(completions(shell)).unwrap();
            assert!(script.contains("max-batch-tokens") && !script.contains("no-prefix-sharing"), "{shell}");
        }
    }

    #[test]
    fn verbatim_lines_fit_a_narrow_terminal() {
        for line in SECTIONS.iter().flat_map(|(_, lines)| lines.lines()).filter(|line| line.starts_with("  ")) {
            assert!(line.chars().count() <= 78, "{line}");
        }
    }
}
