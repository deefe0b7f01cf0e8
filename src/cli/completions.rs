//! `upbeat completions`: what the shell needs to complete our commands.

use clap::Args;
use clap_complete::Shell;
use serde_json::json;

use super::context::Context;
use super::failure::Failure;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  upbeat completions bash > /etc/bash_completion.d/upbeat\n  \
                        upbeat completions zsh > ~/.zfunc/_upbeat\n  \
                        upbeat completions fish > ~/.config/fish/completions/upbeat.fish")]
pub(crate) struct CompletionsCommand {
    /// Which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl CompletionsCommand {
    pub(crate) fn run(self, context: &Context) -> Result<(), Failure> {
        let mut command = super::command(&context.program);
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        let script = String::from_utf8_lossy(&script).into_owned();
        if context.output.is_json() {
            return context.output.object(&json!({ "shell": self.shell.to_string(), "script": script }));
        }
        context.output.text(&script)
    }
}
