//! No secret leaves, by whichever door.

use super::*;
use crate::config::{ExecutorConfig, LedgerUrl};

const FILE: &str = "
[broker]
url = 'amqp://user:hunter2@mq/%2f'
[ledger]
url_file = 'run/ledger'
[tasks.a]
http = 'http://host/'
secret = 'hunter2'
headers = { Authorization = 'Bearer hunter2' }
[tasks.b]
command = ['x']
env = { TOKEN = '${TOKEN}' }
[tasks.c]
http = { url = 'http://host/?token=hunter2', secret_file = 'run/secret' }
[hooks.dead]
url = 'https://user:hunter2@host/?token=hunter2'
secret = 'hunter2'
headers = { Authorization = 'Bearer hunter2' }
[hooks.overdue]
url_file = 'run/hook'
secret_file = 'run/secret'
";

fn world(more: &str) -> World {
    World::default()
        .file("etc/upbeat.toml", &format!("{FILE}{more}"))
        .file("etc/run/ledger", "postgres://user:hunter2@db/upbeat\n")
        .file("etc/run/secret", "hunter2\n")
        .file("etc/run/hook", "https://host/hunter2\n")
        .env("TOKEN", "hunter2")
        .env("UPBEAT_CONFIG", "etc/upbeat.toml")
}

#[test]
fn a_configuration_can_be_logged_and_printed() {
    let loaded = world("").load().unwrap();
    for shown in [format!("{loaded:?}"), loaded.provenance.to_string(), format!("{:?}", loaded.provenance)] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert!(loaded.provenance.to_string().contains("url = \"amqp://user:********@mq/%2f\""));
}

#[test]
fn those_who_need_them_get_them() {
    let config = world("").config();
    let LedgerUrl::Postgres(url) = &config.ledger.url else { panic!("no Postgres") };
    assert_eq!(url.expose(), "postgres://user:hunter2@db/upbeat");
    let secret = |name: &str| match &config.tasks[&TaskName::new(name).unwrap()].executor {
        ExecutorConfig::Http(target) => target.secret.as_ref().map(|secret| secret.expose().to_owned()),
        ExecutorConfig::Command { env, .. } => env.get("TOKEN").map(|secret| secret.expose().to_owned()),
        ExecutorConfig::Native => None,
    };
    assert_eq!(["a", "b", "c"].map(secret), [(); 3].map(|()| Some("hunter2".to_owned())));
}

#[test]
fn mistakes_in_lines_with_secrets_are_shown_without_them() {
    for more in [
        "secert = 'hunter2'\n",
        "token = 'hunter2'\nx = \n",
        "secret = 'hunter2'\n",
        "[tasks.d]\nhttp = { uri = 'http://x:hunter2@y', secret = 'hunter2' }\n",
        "[tasks.d]\nhttp = 'http://x'\nsecret = ['hunter2']\n",
        "[tasks.d]\nhttp = 'http://x'\nheaders = { 'a b' = 'hunter2' }\n",
        "[tasks.d]\ncommand = ['x']\nenv = { UPBEAT_X = 'hunter2', Y = \"\"\"a\nhunter2\"\"\" }\n",
        "[tasks.d]\nhttp = 'ftp://x:hunter2@y'\n",
        "[tasks.d]\nhttp = 'http://x:hunt/hunter2@y/?password=hunter2'\nqueue = 'a b'\n",
        "[tasks.d]\nhttp = 'http://x'\nsecret = 'hunter2\n",
        "[hooks.daed]\nsecret = 'hunter2'\n",
        "[tasks.d.headers]\nX = 'hunter2'\nX = 'hunter2'\n",
    ] {
        let errors = world(more).load().expect_err(more);
        for shown in [format!("{errors}"), format!("{errors:?}")] {
            assert!(!shown.contains("hunter2"), "{more}{shown}");
        }
    }
}

#[test]
fn urls_from_outside_are_refused_without_being_shown() {
    let url = Some("amqp://user:hunter2@".to_owned());
    let flags = Overrides { broker: url, ..Overrides::default() };
    let world = World::default().flags(flags).env("UPBEAT_LEDGER", "hunter2@x");
    let refusal = world.refusal();
    assert!(refusal.contains("flag --broker") && refusal.contains("environment UPBEAT_LEDGER"), "{refusal}");
    assert!(!refusal.contains("hunter2"), "{refusal}");
    assert!(!format!("{:?}", world.flags).contains("hunter2"));
}

#[test]
fn what_a_file_of_secrets_holds_is_refused_without_being_shown() {
    let world = World::with("[broker]\nurl_file = 'url'\n").file("url", "hunter2://x\n");
    let refusal = world.refusal();
    assert!(refusal.contains("what this file holds is not accepted"), "{refusal}");
    assert!(!refusal.contains("hunter2"), "{refusal}");
}
