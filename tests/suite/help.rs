//! What the program says: the help of every command, and its answers to what people get wrong, word by word.
//!
//! A text that was changed on purpose is taken over with `INSTA_UPDATE=always tests/run suite help`; read the difference
//! before you commit it.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use tokio::process::Command;
use upbeat_tests::harness::{Said, World};

const SNAPSHOTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/snapshots");

/// A task that the ledger has never seen.
const STRANGER: &str = "0198a2f0-0000-7000-8000-000000000001";

fn world(configuration: &str) -> World {
    World::new(env!("CARGO_BIN_EXE_upbeat"), configuration)
}

/// The names below `Commands:`, without clap's own `help`.
fn subcommands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = listed
        .take_while(|line| !line.is_empty())
        // Deeper lines go on with an explanation.
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Without the options that every command has: they stand with the program's own help.
fn own(help: &str) -> String {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in help.lines() {
        inside = line == "Global options:" || inside && (line.is_empty() || line.starts_with(' '));
        if !inside {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// The help of a command and of those beneath it.
fn helps<'a>(world: &'a World, path: Vec<String>) -> Pin<Box<dyn Future<Output = Vec<String>> + 'a>> {
    Box::pin(async move {
        let args: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let said = world.run(&args).await.ok();
        assert_eq!(said.err, "", "help is an answer, not an error");
        let mut texts = vec![format!("$ upbeat {}\n\n{}", args.join(" "), own(&said.out))];
        for name in subcommands(&said.out) {
            texts.extend(helps(world, [path.clone(), vec![name]].concat()).await);
        }
        texts
    })
}

#[tokio::test]
async fn the_help_of_every_command_is_as_it_was_read() {
    let world = world("");
    let whole = world.run(&["--help"]).await.ok().out;
    insta::assert_snapshot!("help", whole);
    let commands = subcommands(&whole);
    assert!(commands.len() > 10, "{commands:?}");
    for command in &commands {
        let texts = helps(&world, vec![command.clone()]).await;
        let line = "-".repeat(100);
        insta::assert_snapshot!(format!("help-{command}"), texts.join(&format!("\n\n{line}\n\n")));
    }

    let there = snapshots("suite__help__help-");
    assert_eq!(there, commands.into_iter().collect(), "remove what belongs to no command any more");
}

/// The names of the snapshots that begin so, without that.
fn snapshots(prefix: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(Path::new(SNAPSHOTS)).expect("the snapshots are there");
    let names = files.map(|file| file.expect("it is listed").file_name().to_string_lossy().into_owned());
    names.filter_map(|name| Some(name.strip_prefix(prefix)?.strip_suffix(".snap")?.to_owned())).collect()
}

/// Everything that a person got to read, with the world's folder as `@`.
fn transcript(world: &World, line: &str, said: &Said) -> String {
    let folder = world.path("").display().to_string();
    let place = |text: &str| anonymous(text).trim_end().replace(folder.trim_end_matches('/'), "@");
    let out = if said.out.is_empty() { String::new() } else { format!("{}\n", place(&said.out)) };
    let code = said.code.map_or_else(|| "killed".to_owned(), |code| format!("exit code {code}"));
    format!("$ {line}\n{out}{}\n[{code}]", place(&said.err))
}

/// Ids of tasks are made anew in every run.
fn anonymous(text: &str) -> String {
    let is_in_an_id = |c: char| c.is_ascii_hexdigit() || c == '-';
    let ids = text.split(|c: char| !is_in_an_id(c)).filter(|word| word.len() == STRANGER.len());
    let made: BTreeSet<&str> = ids.filter(|id| *id != STRANGER && id.matches('-').count() == 4).collect();
    made.into_iter().fold(text.to_owned(), |text, id| text.replace(id, "ID"))
}

/// Runs lines as a shell does, and answers what was printed.
async fn told(world: &World, lines: &[&str]) -> String {
    let mut told = Vec::new();
    for line in lines {
        let given = world.command(&[]);
        let mut command = Command::new("sh");
        command.args(["-c", &line.replacen("upbeat", "\"$UPBEAT_BUILT\"", 1)]).env_clear();
        command.envs(given.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(world.path("")).env_remove("UPBEAT_CONFIG");
        command.env("UPBEAT_BUILT", env!("CARGO_BIN_EXE_upbeat"));
        let said = world.run_command(command, "").await;
        told.push(transcript(world, line, &said));
    }
    told.join("\n\n")
}

#[tokio::test]
async fn a_wrong_command_line_is_told_what_would_be_right() {
    let world = world("data = \"data\"\n[tasks.hello]\ncommand = [\"true\"]\n");
    let lines = [
        "upbeat publsh hello",
        "upbeat tasks lst",
        "upbeat tasks",
        "upbeat publish",
        "upbeat publish hello --dely 5m",
        "upbeat publish hello --delay 5",
        "upbeat publish hello --delay '5 apples'",
        "upbeat publish hello --delay 5m --at 2030-05-01T12:00:00Z",
        "upbeat publish hello --at tomorrow",
        "upbeat publish hello --priority 10",
        "upbeat publish hello --timeout 5s",
        "upbeat publish 'hello world'",
        "upbeat publish hello --queue 'a queue'",
        "upbeat publish hello --traceparent 1-2-3",
        "upbeat publish hello --args '{name: you}'",
        "upbeat publish hello --args @missing.json",
        "upbeat tasks list --state done",
        "upbeat tasks show 17",
        "upbeat dead replay",
        "upbeat queues pause my@queue",
        "upbeat completions tcsh",
        "upbeat explain ledger-unavailble",
        "upbeat config reference worker.concurency",
        "upbeat migrate --print-sql",
        "upbeat worker --json --concurrency none",
        "upbeat publish hello --args '{' --json",
    ];
    insta::assert_snapshot!(told(&world, &lines).await);
}

#[tokio::test]
async fn a_wrong_configuration_is_shown_where_it_is_wrong() {
    let world = world("");
    world.write("broken.toml", "[worker\nconcurrency = 8\n");
    world.write(
        "wrong.toml",
        "[worker]\nconcurency = 8\ngrace = 30\nqueues = [\"a b\"]\n\n[tasks.report]\ntimeout = \"soon\"\n\n\
         [[schedule]]\nid = \"nightly\"\ntask = \"reprot\"\ncron = \"0 30 2 30 2 *\"\ntimezone = \"Europe/Berlinn\"\n",
    );
    world.write(
        "secret.toml",
        "[broker]\nurl = \"amqp://u:pass/word@host/\"\n[tasks.a]\nhttp = \"${NOWHERE}\"\n",
    );
    let lines = [
        "upbeat config check --config broken.toml",
        "upbeat config check --config wrong.toml",
        "upbeat config check --config secret.toml",
        "upbeat config check --config missing.toml",
        "UPBEAT_CONFIG=missing.toml upbeat up",
        "UPBEAT_CONCURRENCY=many upbeat config check",
        "upbeat worker --grace soon --queues critical=0",
        "upbeat schedules check missing.toml",
        "upbeat --broker kafka://host/ tasks list",
        "upbeat --namespace 'my world' tasks list",
        "upbeat config check --config wrong.toml --json",
    ];
    insta::assert_snapshot!(told(&world, &lines).await);
}

#[tokio::test]
async fn what_is_not_there_is_told_with_what_to_do() {
    let world = world("data = \"data\"\n[tasks.hello]\ncommand = [\"true\"]\n");
    let before = ["upbeat tasks list", "upbeat healthcheck"];
    let before = told(&world, &before).await;
    world.run(&["publish", "hello", "--delay", "1h", "--dedup-id", "a"]).await.ok();
    let show = format!("upbeat tasks show {STRANGER}");
    let cancel = format!("upbeat tasks retry {STRANGER}");
    let replay = format!("upbeat dead replay {STRANGER}");
    let lines = [
        &show,
        &cancel,
        &replay,
        "upbeat publish helo",
        "upbeat publish hello --delay 1h --dedup-id a --wait --timeout 10ms",
        "upbeat schedules show nightly",
        "upbeat schedules trigger nightly",
        "upbeat workers show nobody",
        "upbeat init",
        "upbeat --broker amqp://127.0.0.1:1/ publish hello",
        "upbeat --ledger postgres://127.0.0.1:1/upbeat tasks list",
        "upbeat --ledger redis://127.0.0.1:1/ tasks list",
        "upbeat healthcheck --listen 127.0.0.1:1",
        "upbeat --data upbeat.toml publish hello",
    ];
    insta::assert_snapshot!(format!("{before}\n\n{}", told(&world, &lines).await));
}

#[tokio::test]
async fn an_error_names_a_page_that_the_program_prints() {
    let world = world("data = \"data\"\n");
    let refused = world.run(&["tasks", "show", STRANGER]).await.failed(3);
    let named = refused.err.lines().find_map(|line| line.trim().strip_prefix("more: upbeat "));
    let args: Vec<&str> = named.expect("it names a page").split(' ').collect();
    let page = world.run(&args).await.ok().out;
    assert!(page.contains("there is no ledger here yet") && page.contains("**What to do.**"), "{page}");
}
