//! What the program says of times to come: explained, forecast, imported from a crontab.

use serde_json::Value;

use crate::scene::Scene;
use upbeat_tests::harness::Said;

const NIGHTLY: &str = "\
[tasks.report]
command = [\"true\"]

[calendars.office]
days_off = [\"saturday\", \"sunday\"]

[[schedule]]
id = \"invoices\"
task = \"report\"
cron = \"0 9 15 * *\"
timezone = \"Europe/Berlin\"
calendar = \"office\"
on_holiday = \"next_business_day\"
jitter = \"5m\"
";

fn objects(said: &Said) -> Vec<Value> {
    said.out.lines().map(|line| serde_json::from_str(line).expect("a line is an object")).collect()
}

#[tokio::test]
async fn an_expression_is_explained_without_a_broker_or_a_ledger() {
    let scene = Scene::with("");
    let from = ["--from", "2026-03-07T17:00:00Z", "--count", "2", "--json"];
    let said = scene
        .world
        .run(&[&["schedules", "explain", "30 2 * * *", "--zone", "America/New_York"], &from[..]].concat())
        .await
        .ok();
    let fires = objects(&said);
    assert_eq!(fires.len(), 2, "{fires:#?}");
    assert_eq!(fires[0]["at"], "2026-03-08T03:00:00-04:00");
    assert_eq!(fires[0]["utc"], "2026-03-08T07:00:00Z");
    assert_eq!(fires[0]["shifts"], serde_json::json!(["gap"]));
    assert_eq!((&fires[1]["at"], &fires[1]["reason"]), (&"2026-03-09T02:30:00-04:00".into(), &Value::Null));
    let refused = scene.world.run(&["schedules", "explain", "0 0 30 2 *"]).await.failed(2);
    assert!(
        refused.err.contains("        ^^ this never fires: February has at most 29 days"),
        "{}",
        refused.err
    );
}

#[tokio::test]
async fn a_schedule_in_force_is_explained_and_forecast_by_its_id() {
    let scene = Scene::with(NIGHTLY);
    let up = scene.world.start(&["up"]);
    scene.world.run(&["publish", "report", "--wait"]).await.ok();
    let explain =
        ["schedules", "explain", "invoices", "--from", "2026-08-01T00:00:00Z", "--count", "1", "--json"];
    let fires = objects(&scene.world.run(&explain).await.ok());
    // The 15th of August 2026 is a Saturday.
    assert_eq!(fires[0]["at"], "2026-08-17T09:00:00+02:00");
    assert_eq!(fires[0]["shifts"], serde_json::json!(["calendar", "jitter"]));
    let due: jiff::Timestamp = fires[0]["due"].as_str().and_then(|due| due.parse().ok()).expect("an instant");
    let planned: jiff::Timestamp = "2026-08-17T07:00:00Z".parse().expect("an instant");
    assert!(due > planned);
    let forecast = ["schedules", "forecast", "--from", "2026-08-17T06:00:00Z", "--hours", "3", "--json"];
    let forecast = &objects(&scene.world.run(&forecast).await.ok())[0];
    assert_eq!((&forecast["tasks"], &forecast["peak"]), (&1.into(), &1.into()));
    up.stop().await;
}

#[tokio::test]
async fn an_imported_crontab_is_a_configuration() {
    let scene = Scene::with("");
    let text = "MAILTO=me\n*/5 * * * 1-5 echo \"${HOME}\" 100\\% %done\n@reboot start\n";
    scene.world.write("mine.crontab", text);
    let crontab = scene.world.path("mine.crontab");
    let path = crontab.to_str().expect("UTF-8");
    let said =
        scene.world.run(&["schedules", "import", "crontab", path, "--zone", "Europe/Berlin"]).await.ok();
    assert!(
        said.err.contains("mine.crontab:1: MAILTO") && said.err.contains("mine.crontab:3: @reboot"),
        "{}",
        said.err
    );
    scene.world.write("imported.toml", &said.out);
    let toml = scene.world.path("imported.toml");
    let checked = scene.world.run(&["schedules", "check", toml.to_str().expect("UTF-8")]).await.ok();
    assert!(checked.out.contains("mine-1: cron */5 * * * 1-5 Europe/Berlin runs mine-1"), "{}", checked.out);
}
