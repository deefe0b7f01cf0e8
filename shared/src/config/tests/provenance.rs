//! Which source wins, and that it is remembered.

use super::*;

fn origin(loaded: &Loaded, path: &str) -> String {
    loaded.provenance.get(path).unwrap_or_else(|| panic!("no {path}")).origin.to_string()
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let file = "namespace = 'file'\n[worker]\nconcurrency = 1\n";
    let flags = Overrides { concurrency: Some(3), ..Overrides::default() };

    let loaded = World::with("").load().unwrap();
    assert_eq!(loaded.config.worker.concurrency, 64);
    assert_eq!(origin(&loaded, "worker.concurrency"), "default");
    let loaded = World::with(file).load().unwrap();
    assert_eq!(loaded.config.worker.concurrency, 1);
    assert_eq!(origin(&loaded, "worker.concurrency"), "upbeat.toml:3");
    let loaded = World::with(file).env("UPBEAT_CONCURRENCY", "2").load().unwrap();
    assert_eq!(loaded.config.worker.concurrency, 2);
    assert_eq!(origin(&loaded, "worker.concurrency"), "environment UPBEAT_CONCURRENCY");
    let loaded = World::with(file).env("UPBEAT_CONCURRENCY", "2").flags(flags).load().unwrap();
    assert_eq!(loaded.config.worker.concurrency, 3);
    assert_eq!(origin(&loaded, "worker.concurrency"), "flag --concurrency");
    assert_eq!(origin(&loaded, "namespace"), "upbeat.toml:1");
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let loaded = World::default().env("UPBEAT_NAMESPACE", "").load().unwrap();
    assert_eq!(origin(&loaded, "namespace"), "default");
}

#[test]
fn the_file_is_named_by_flag_or_environment_or_lies_in_the_working_directory() {
    let world = || {
        World::with("namespace = 'here'")
            .file("/etc/a.toml", "namespace = 'a'")
            .file("/etc/b.toml", "namespace = 'b'")
    };
    assert_eq!(world().config().namespace.as_str(), "here");
    let by_env = world().env("UPBEAT_CONFIG", "/etc/a.toml");
    assert_eq!(by_env.load().unwrap().file, Some("/etc/a.toml".into()));
    let by_flag = by_env.flags(Overrides { config: Some("/etc/b.toml".into()), ..Overrides::default() });
    assert_eq!(by_flag.config().namespace.as_str(), "b");
}

#[test]
fn a_file_that_was_named_must_be_there() {
    assert!(World::default().load().unwrap().file.is_none());
    let refusal = World::default().env("UPBEAT_CONFIG", "gone.toml").refusal();
    assert!(refusal.contains("cannot read the configuration"), "{refusal}");
}

#[test]
fn everything_is_accounted_for_and_what_is_printed_can_be_read() {
    let text = "[worker]\nretry.delay = '1s'\n[queues.'a.b']\nweight = 2\n[tasks.'x.y']\ncommand = ['sh', '-c', 'echo \"$1\\\"']\n\
                env = { A = 'x' }\n[[schedule]]\nid = 'n'\ntask = 'x.y'\ncron = '@daily'\nargs = { a = [1, 2.5], 'b c' = 'd' }\n\
                [[schedule]]\nid = 'm'\ntask = 'x.y'\nat = 2030-01-01T00:00:00Z\n";
    let loaded = World::with(text).load().unwrap();
    let printed = loaded.provenance.to_string();
    assert!(printed.contains("timeout = \"1h\"                       # from [worker]\n"), "{printed}");
    assert!(printed.contains("retry.delay = \"1s\"                   # upbeat.toml:2\n"), "{printed}");
    let again = World::with(&printed.replace("********", "x")).config();
    let sources = |config: Config| Config { schedules: Vec::new(), tasks: BTreeMap::new(), ..config };
    assert_eq!(sources(again.clone()), sources(loaded.config.clone()));
    let plain = |config: &Config| {
        config.schedules.iter().map(|s| (s.id.clone(), s.definition.clone())).collect::<Vec<_>>()
    };
    assert_eq!(plain(&again), plain(&loaded.config));
}
